package bench

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestGrammars(t *testing.T) {
	const source = "http://127.0.0.1:8090/r0/a%20b.jpg"
	const escaped = "http:%2F%2F127.0.0.1:8090%2Fr0%2Fa%2520b.jpg"
	original := want{file: "r0/a b.jpg"}
	rendition := func(f asset.Format) want { return want{file: original.file, width: 512, format: f, quality: 80} }
	spells := func(peer string, w want, path string) {
		t.Helper()
		got, err := Peer{Name: peer}.grammar()(source, w)
		if path == "" {
			if !errors.Is(err, errNotOffered) {
				t.Errorf("%s has words for %v: %s, %v", peer, w, got, err)
			}
			return
		}
		if err != nil || got != path {
			t.Errorf("%s spells %v as\n%s, %v, want\n%s", peer, w, got, err, path)
		}
		if _, err := url.ParseRequestURI(got); err != nil {
			t.Error(err)
		}
	}
	spells("imgproxy", original, "/insecure/raw:1/plain/"+escaped)
	spells("imgproxy", rendition(asset.JPEG), "/insecure/rs:fit:512:0/q:80/plain/"+escaped+"@jpg")
	spells("imgproxy-2", rendition(asset.AVIF), "/insecure/rs:fit:512:0/q:80/plain/"+escaped+"@avif")
	spells("imagor", original, "/unsafe/filters:raw()/"+escaped)
	spells("imagor", rendition(asset.WebP), "/unsafe/512x0/filters:format(webp):quality(80):no_upscale()/"+escaped)
	spells("thumbor", original, "")
	spells("thumbor", rendition(asset.JPEG), "/unsafe/512x0/filters:format(jpeg):quality(80):no_upscale()/"+escaped)
	spells("weserv", original, "")
	spells("weserv", rendition(asset.AVIF), "")
	spells("weserv", rendition(asset.WebP), "/?output=webp&q=80&url="+url.QueryEscape(source)+"&w=512&we=")
	spells("nginx", original, "/r0/a%20b.jpg")
	spells("nginx-cache", rendition(asset.WebP), "")
	spells("varnish", original, "/r0/a%20b.jpg")
}

func TestParsePeer(t *testing.T) {
	for text, want := range map[string]Peer{
		"nginx=http://127.0.0.1:8080":           {"nginx", "http://127.0.0.1:8080"},
		"nginx-tuned-2=http://127.0.0.1:8080/":  {"nginx-tuned-2", "http://127.0.0.1:8080"},
		"weserv=http://[::1]:81/images":         {"weserv", "http://[::1]:81/images"},
		"imgproxy-old=http://host.example/base": {"imgproxy-old", "http://host.example/base"},
	} {
		if got, err := ParsePeer(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	refuses := func(text string, says ...string) {
		t.Helper()
		_, err := ParsePeer(text)
		if err == nil {
			t.Errorf("%q is a peer", text)
			return
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q does not say %q", err, s)
			}
		}
	}
	refuses("", "give NAME=BASEURL, such as imgproxy=http://")
	refuses("imgproxy", "give NAME=BASEURL")
	refuses("nonsense=http://127.0.0.1:80", `no grammar for a peer "nonsense"`, "imagor, imgproxy, nginx, thumbor, varnish, weserv")
	refuses("nonsense-nginx=http://127.0.0.1:80", "no grammar")
	refuses("=http://127.0.0.1:80", "no grammar")
	for _, name := range []string{"nginx-my cache", "nginx-a/b", "nginx-a_b", "nginx-É", "nginx-A", "nginx-"} {
		refuses(name+"=http://127.0.0.1:80", "lower case")
	}
	for _, base := range []string{"", "ftp://x", "https://127.0.0.1", "127.0.0.1:80", "http://", "http://a/?b=c", "http://a/?", "http://a/#b", "http://u:p@a", "http://a\x7f"} {
		refuses("imgproxy="+base, "the peer imgproxy", "give one such as http://127.0.0.1:8080 (TLS is not measured)")
	}
}

func TestPeerNames(t *testing.T) {
	names := PeerNames()
	if !slices.IsSorted(names) || !slices.Contains(names, "imgproxy") || !slices.Contains(names, "varnish") {
		t.Error(names)
	}
}

func TestWant(t *testing.T) {
	for w, want := range map[want]string{
		{file: "a.jpg"}: "a.jpg",
		{file: "a.jpg", width: 512, format: asset.WebP, quality: 80}: "a.jpg at 512 px as webp",
	} {
		if w.String() != want {
			t.Errorf("%s, want %s", w, want)
		}
	}
}
