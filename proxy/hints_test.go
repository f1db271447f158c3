package proxy

import (
	"context"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// heeding is a world whose pic.jpg depends on hints.
func heeding(heeds resolve.Heed) *world {
	w := newWorld()
	w.product.ClientHints = true
	f := w.files["pic.jpg"]
	f.heeds = heeds
	w.files["pic.jpg"] = f
	return w
}

// Vary is the same on all answers of a URL, and whoever gets a picture is told which hints there may be.
func TestClientHintsInAnswers(t *testing.T) {
	const url, hints = "/shop/w=10/pic.jpg", "Sec-CH-DPR, Sec-CH-Width, Save-Data"
	for heeds, vary := range map[resolve.Heed]string{
		resolve.HeedNone:     "Accept",
		resolve.HeedSaveData: "Accept, Save-Data",
		resolve.HeedDPR:      "Accept, Sec-CH-DPR, DPR, Save-Data",
		resolve.HeedWidth:    "Accept, Sec-CH-DPR, DPR, Sec-CH-Width, Width, Save-Data",
	} {
		w := heeding(heeds)
		_, addr := open(t, w, Events{})
		etag := get(t, addr, url).get("ETag")
		for status, a := range map[int]answer{
			200: get(t, addr, url), 206: get(t, addr, url, "Range: bytes=0-9"), 304: get(t, addr, url, "If-None-Match: "+etag),
			412: get(t, addr, url, `If-Match: "x"`), 416: get(t, addr, url, "Range: bytes=9999-"),
		} {
			wantStatus(t, a, status)
			wantHeader(t, a, "Vary", vary)
			if status < 400 {
				wantHeader(t, a, "Accept-CH", hints)
			}
		}
		wantHeader(t, ask(t, addr, "HEAD", url), "Vary", vary)
		w.load = func(context.Context, asset.Key) (*asset.Object, error) { return nil, asset.ErrUndecodable }
		failed := get(t, addr, url)
		wantStatus(t, failed, 422)
		wantHeader(t, failed, "Vary", vary)
	}
	w := heeding(resolve.HeedWidth)
	w.product.Origins = []string{"https://a.example"}
	_, addr := open(t, w, Events{})
	wantHeader(t, get(t, addr, url), "Vary", "Accept, Sec-CH-DPR, DPR, Sec-CH-Width, Width, Save-Data, Origin")
	wantHeader(t, get(t, addr, "/shop/original/ten.txt"), "Accept-CH", "")
	_, addr = open(t, newWorld(), Events{})
	wantHeader(t, get(t, addr, url), "Accept-CH", "")
}

func TestClientHintsOfRequests(t *testing.T) {
	w := heeding(resolve.HeedWidth)
	_, addr := open(t, w, Events{})
	f := func(want resolve.Hints, headers ...string) {
		t.Helper()
		wantStatus(t, get(t, addr, "/shop/w=10/pic.jpg", headers...), 200)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.client.Hints != want {
			t.Errorf("%q: %+v, want %+v", headers, w.client.Hints, want)
		}
	}
	f(resolve.Hints{})
	f(resolve.Hints{DPR: 1000, Width: 640}, "Sec-CH-DPR: 2", "Sec-CH-Width: 600")
	f(resolve.Hints{DPR: 1000, Width: 640}, "sec-ch-dpr:2", "SEC-CH-WIDTH:\t600 ")
	f(resolve.Hints{DPR: 1000, Width: 640}, "DPR: 2", "Width: 600")
	f(resolve.Hints{SaveData: true}, "Save-Data: on")
	f(resolve.Hints{}, "Save-Data: off", "Sec-CH-DPR: two", "Sec-CH-Width: -1")
	f(resolve.Hints{}, "Sec-CH-DPR: 2", "Sec-CH-DPR: 3") // a list is no number
	f(resolve.Hints{}, "DPX: 2", "Widht: 600", "Sec-CH-DPX: 2", "Sec-CH-Widht: 3")
}
