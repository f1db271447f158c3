package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// errEnough ends a stream.
var errEnough = errors.New("enough")

// follow reads changes until one has the revision.
func follow(t *testing.T, c *client.Client, after, until uint64) []client.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all []client.Change
	err := c.Changes(ctx, after, func(change client.Change) error {
		if all = append(all, change); change.Revision >= until {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("after %d: %v", after, err)
	}
	return all
}

func TestChanges(t *testing.T) {
	h := open(t).gallery()
	link, _ := h.catalog.View().Link("shop", "a.txt")
	h.update(
		catalog.Mutation{ChangeAsset: &catalog.AssetChange{Asset: link.Asset, Tags: &[]string{"red"}}},
		catalog.Mutation{PutLink: &asset.Link{Product: "shop", Name: "b.txt", Asset: link.Asset, Pin: 1}},
		catalog.Mutation{Purge: &catalog.Purge{Tag: "red"}},
		catalog.Mutation{Purge: &catalog.Purge{Product: "shop", Name: "b.txt"}},
		catalog.Mutation{DeleteLink: &catalog.LinkRef{Product: "shop", Name: "b.txt"}},
	)
	h.update(
		catalog.Mutation{DeleteLink: &catalog.LinkRef{Product: "shop", Name: "a.txt"}},
		catalog.Mutation{DeleteAsset: link.Asset},
		catalog.Mutation{PutProduct: &asset.Product{Name: "blog"}},
		catalog.Mutation{DeleteProduct: "blog"},
	)
	a, _ := h.catalog.View().Link("shop", "ü/hero 1.png")
	var gone asset.Digest
	for o := range h.catalog.View().Orphans() {
		gone = o.Digest
	}
	h.update(catalog.Mutation{CondemnOriginal: &gone}, catalog.Mutation{ForgetOriginal: &gone})
	want := [][]client.Mutation{
		{{Kind: "put_product", Product: "shop"}},
		{{Kind: "put_asset", Product: "shop", Asset: a.Asset, Version: 1, Status: "ACTIVE"}, {Kind: "put_link", Product: "shop", Name: "ü/hero 1.png", Asset: a.Asset}},
		{{Kind: "add_version", Product: "shop", Asset: a.Asset, Version: 2, Status: "ACTIVE"}},
		{{Kind: "put_asset", Product: "shop", Asset: link.Asset, Version: 1, Status: "ACTIVE"}, {Kind: "put_link", Product: "shop", Name: "a.txt", Asset: link.Asset}},
		{
			{Kind: "change_asset", Asset: link.Asset}, {Kind: "put_link", Product: "shop", Name: "b.txt", Asset: link.Asset, Version: 1},
			{Kind: "purge", Tag: "red"}, {Kind: "purge", Product: "shop", Name: "b.txt"}, {Kind: "delete_link", Product: "shop", Name: "b.txt"},
		},
		{
			{Kind: "delete_link", Product: "shop", Name: "a.txt"}, {Kind: "delete_asset", Asset: link.Asset},
			{Kind: "put_product", Product: "blog"}, {Kind: "delete_product", Product: "blog"},
		},
		{{Kind: "condemn_original", Original: &gone}, {Kind: "forget_original", Original: &gone}},
	}
	for i, change := range follow(t, h.client, 0, uint64(len(want))) {
		got, _ := json.Marshal(change.Changes)
		expected, _ := json.Marshal(want[i])
		if change.Revision != uint64(i+1) || string(got) != string(expected) || time.Since(change.CommittedAt) > time.Minute {
			t.Errorf("%d:\n got %s\nwant %s", change.Revision, got, expected)
		}
	}
}

// update commits mutations.
func (h *house) update(mutations ...catalog.Mutation) uint64 {
	h.t.Helper()
	revision, err := h.catalog.Update(h.t.Context(), func(*catalog.View) ([]catalog.Mutation, error) { return mutations, nil })
	must(h.t, err)
	return revision
}

// Readers that come and go while others write get every revision once, and in order.
func TestChangesResumeWithoutGapOrDouble(t *testing.T) {
	h := open(t).shop()
	const writers, writes = 4, 50
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range writes {
				_, err := h.client.PutProduct(t.Context(), fmt.Sprintf("p%d", w), client.ProductSpec{Presets: map[string]string{"p": "w=" + strconv.Itoa(i+1)}})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	var reading sync.WaitGroup
	for reader := range 3 {
		reading.Go(func() {
			var at, seen uint64
			puts := map[string]int{}
			for puts["p0"]+puts["p1"]+puts["p2"]+puts["p3"] < writers*writes {
				leave := at + uint64(reader*7+3)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				err := h.client.Changes(ctx, at, func(c client.Change) error {
					if c.Revision != at+1 {
						t.Errorf("%d comes after %d", c.Revision, at)
					}
					at, seen = c.Revision, seen+1
					for _, m := range c.Changes {
						puts[m.Product]++
					}
					if c.Revision == leave || puts["p0"]+puts["p1"]+puts["p2"]+puts["p3"] == writers*writes {
						return errEnough
					}
					return nil
				})
				cancel()
				if !errors.Is(err, errEnough) {
					t.Error(err)
					return
				}
			}
			if at != h.catalog.View().Revision() || seen != at {
				t.Errorf("%d changes up to %d, of %d", seen, at, h.catalog.View().Revision())
			}
		})
	}
	writing.Wait()
	reading.Wait()
}

// events asks for the stream and returns its lines.
func (h *house) events(path string, headers ...string) (*http.Response, *bufio.Scanner) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	h.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+path, nil)
	must(h.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	must(h.t, err)
	h.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp, bufio.NewScanner(resp.Body)
}

// next returns the id of the next event.
func next(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			return id
		}
	}
	t.Fatal("no more events", lines.Err())
	return ""
}

func TestWhereChangesBegin(t *testing.T) {
	h := open(t).gallery()
	for _, c := range []struct{ path, header, want string }{
		{"/v1/changes?after=0", "", "1"},
		{"/v1/changes?after=2", "", "3"},
		{"/v1/changes?after=2", "3", "4"}, // as a browser comes back
		{"/v1/changes", "1", "2"},
	} {
		resp, lines := h.events(c.path, "Last-Event-ID", c.header)
		if got := next(t, lines); got != c.want || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%+v: begins with %s, %v", c, got, resp.Header)
		}
	}
	if head := h.ask("HEAD", "/v1/changes?after=0", ""); head.StatusCode != 200 || head.Header.Get("Content-Type") != "text/event-stream" {
		t.Error("the head of a stream ends", head.Status, head.Header)
	}
	_, now := h.events("/v1/changes") // is answered though there is nothing yet
	h.update(catalog.Mutation{PutProduct: &asset.Product{Name: "blog"}})
	if got := next(t, now); got != "5" {
		t.Error("what is to come begins with", got)
	}
	if text := now.Text() + "\n"; !now.Scan() || now.Text() != "event: change" || !now.Scan() || !strings.HasPrefix(now.Text(), `data: {"revision":5,"committed_at":"`) || !now.Scan() || now.Text() != "" {
		t.Errorf("%s%s", text, now.Text())
	}
}

// A history is a matrix whose log does not go back to the beginning, or is damaged.
type history struct {
	*catalog.Catalog
	err error
}

// Changes fails.
func (h history) Changes(context.Context, uint64, func(catalog.Change) error) error { return h.err }

func TestChangesRefusals(t *testing.T) {
	fails := &history{}
	h := open(t, func(c *Config, d *Deps) {
		c.RevisionWait = 20 * time.Millisecond
		fails.Catalog = d.Matrix.(*catalog.Catalog)
		d.Matrix = fails
	}).shop()
	refused(t, h.ask("GET", "/v1/changes?after=-1", ""), 400, "invalid-request", "after", "at least 0")
	refused(t, h.ask("GET", "/v1/changes?since=1", ""), 400, "invalid-request", "since", "after")
	refused(t, h.ask("GET", "/v1/changes", "", "Last-Event-ID", "x"), 400, "invalid-request", "Last-Event-ID", "a revision")
	refused(t, h.ask("GET", "/v1/changes?after=9", ""), 503, "unavailable", "after", "up to 1 now")
	refused(t, h.ask("GET", "/v1/changes", "", "Last-Event-ID", "9"), 503, "unavailable", "Last-Event-ID", "up to 1 now")
	fails.err = &asset.Fault{Kind: asset.ErrGone, Detail: "the changes behind revision 0 are not kept any more", Allowed: "1 or later"}
	refused(t, h.ask("GET", "/v1/changes?after=0", ""), 410, "gone", "", "1 or later")
	err := h.client.Changes(t.Context(), 0, nil)
	if p, ok := errors.AsType[*asset.Problem](err); !ok || p.Status != 410 {
		t.Error(err)
	}
	fails.err = asset.ErrUnavailable
	refused(t, h.ask("GET", "/v1/changes?after=0", ""), 503, "unavailable", "", "")
	if err := h.client.Changes(t.Context(), 1, nil); !errors.Is(err, asset.ErrUnavailable) {
		t.Error("a stream that has begun breaks off", err)
	}
}

// A token's holder sees what concerns its products: theirs, and the assets of others that have a name there.
func TestChangesOfAToken(t *testing.T) {
	h := open(t, with(root, Token{Name: "blog", Products: []string{"blog"}, Verbs: []Verb{Read}}, Token{Name: "writer", Products: []string{"*"}, Verbs: []Verb{Write}}))
	none := h.client
	h.client = none.WithToken(secretOf("root"))
	h.gallery()
	hero, _ := h.catalog.View().Link("shop", "ü/hero 1.png")
	text, _ := h.catalog.View().Link("shop", "a.txt")
	h.update(catalog.Mutation{PutProduct: &asset.Product{Name: "blog"}})
	h.update(catalog.Mutation{PutLink: &asset.Link{Product: "blog", Name: "hero", Asset: hero.Asset}})
	h.update(catalog.Mutation{Purge: &catalog.Purge{Product: "shop"}}, catalog.Mutation{Purge: &catalog.Purge{Tag: "red"}})
	h.update(
		catalog.Mutation{Purge: &catalog.Purge{Asset: text.Asset}}, catalog.Mutation{Purge: &catalog.Purge{Product: "shop", Name: "ü/hero 1.png"}},
		catalog.Mutation{PutLink: &asset.Link{Product: "shop", Name: "c", Asset: hero.Asset}})
	h.update(catalog.Mutation{Purge: &catalog.Purge{Asset: hero.Asset}})
	var got []string
	for _, c := range follow(t, none.WithToken(secretOf("blog")), 0, 9) {
		for _, m := range c.Changes {
			got = append(got, fmt.Sprintf("%d %s %s%s", c.Revision, m.Kind, m.Product, m.Tag))
		}
	}
	if want := []string{"2 put_asset shop", "3 add_version shop", "5 put_product blog", "6 put_link blog", "7 purge red", "9 purge shop"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if all := follow(t, h.client, 0, 9); len(all) != 9 {
		t.Error(len(all))
	}
	err := none.WithToken(secretOf("writer")).Changes(t.Context(), 0, nil)
	if p, ok := errors.AsType[*asset.Problem](err); !ok || p.Status != 403 {
		t.Error(err)
	}
	if p, ok := errors.AsType[*asset.Problem](none.Changes(t.Context(), 0, nil)); !ok || p.Status != 401 {
		t.Error(p)
	}
	entry := decode[client.Entry](t, h.ask("GET", "/v1/products/blog/assets/hero", "", as("blog")...), 200)
	if len(entry.Links) != 1 || entry.Links[0].Product != "blog" {
		t.Errorf("the names in other products are shown: %+v", entry.Links)
	}
}

// What nobody may see moves a stream on all the same, with the next heartbeat.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		e := &events{w: w, last: 3}
		ctx, cancel := context.WithCancel(t.Context())
		go e.beat(ctx)
		time.Sleep(heartbeat + time.Second)
		synctest.Wait()
		if w.Body.Len() > 0 {
			t.Error("a heartbeat comes before the stream has begun")
		}
		must(t, e.begin())
		must(t, e.send(catalog.Change{Revision: 4}, nil))
		time.Sleep(heartbeat)
		synctest.Wait()
		must(t, e.send(catalog.Change{Revision: 5}, []client.Mutation{{Kind: "purge", Tag: "red"}}))
		cancel()
		synctest.Wait()
		const want = ": alive\nid: 4\n\nid: 5\nevent: change\ndata: {\"revision\":5,\"committed_at\":\"0001-01-01T00:00:00Z\",\"changes\":[{\"kind\":\"purge\",\"tag\":\"red\"}]}\n\n"
		if got := w.Body.String(); got != want || !w.Flushed {
			t.Errorf("%q", got)
		}
	})
}

// A stream has no end, and keeps nobody from stopping the server.
func TestShutdownEndsStreams(t *testing.T) {
	h := open(t).shop()
	_, lines := h.events("/v1/changes")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, h.server.Shutdown(ctx))
	if lines.Scan() || lines.Err() != nil {
		t.Error("the stream goes on, or broke off", lines.Text(), lines.Err())
	}
}

// A watched is a matrix that tells when nobody follows it any more.
type watched struct {
	*catalog.Catalog
	ended chan error
}

// Changes tells how it ended.
func (w watched) Changes(ctx context.Context, after uint64, take func(catalog.Change) error) error {
	err := w.Catalog.Changes(ctx, after, take)
	w.ended <- err
	return err
}

// A reader that takes nothing is cut off; what it has not taken is held nowhere but in the log.
func TestSlowReaderIsCutOff(t *testing.T) {
	ended := make(chan error, 1)
	h := open(t, func(c *Config, d *Deps) {
		c.StallTimeout = 200 * time.Millisecond
		d.Matrix = watched{d.Matrix.(*catalog.Catalog), ended}
	}).shop()
	c, err := net.Dial("tcp", h.addr)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.(*net.TCPConn).SetReadBuffer(4096))
	_, err = fmt.Fprint(c, "GET /v1/changes?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	mutations := make([]catalog.Mutation, 5000) // half a megabyte in the stream
	for i := range mutations {
		mutations[i] = catalog.Mutation{Purge: &catalog.Purge{Tag: strings.Repeat("t", 60)}}
	}
	for range 20 {
		h.update(mutations...)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the stream still waits for its reader")
	}
}
