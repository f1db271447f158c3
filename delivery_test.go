package assetmatrix

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/transform"
)

func TestFirstLight(t *testing.T) {
	s := boot(t, nil)
	receipt := s.put("shop", "banners/hero.jpg", photo())
	if receipt.Width != 4000 || receipt.Height != 3000 || receipt.MediaType != "image/jpeg" || receipt.Version != 1 || receipt.Revision == 0 {
		t.Errorf("receipt %+v", receipt)
	}
	const url = "/shop/w=400,h=300,fit=cover/banners/hero.jpg"

	modern := s.get(url, "Accept", "image/avif,image/webp").is(t, 200)
	if got := modern.Header.Get("Content-Type"); got != "image/avif" {
		t.Errorf("a client that takes AVIF got %s", got)
	}
	webp := s.get(url, "Accept", "image/webp").is(t, 200)
	if got := modernType(webp.body); got != "image/webp" || webp.Header.Get("Content-Type") != got {
		t.Errorf("a client that takes WebP got %s", got)
	}
	plain := s.get(url).is(t, 200)
	if got := plain.Header.Get("Content-Type"); got != "image/jpeg" {
		t.Errorf("a client that says nothing got %s", got)
	}
	if got := size(t, plain.body); got.X != 400 || got.Y != 300 {
		t.Errorf("the picture is %v", got)
	}
	for _, a := range []answer{modern, webp, plain} {
		if a.Header.Get("Vary") != "Accept" || a.Header.Get("ETag") == "" || a.ContentLength != int64(len(a.body)) {
			t.Errorf("headers %v", a.Header)
		}
	}
	if epoch := fmt.Sprintf(`-%d"`, transform.Epoch); !strings.HasSuffix(plain.Header.Get("ETag"), epoch) {
		t.Errorf("the renderer's epoch is not in the ETag %s", plain.Header.Get("ETag"))
	}
	original := s.get("/shop/original/banners/hero.jpg").is(t, 200)
	if !bytes.Equal(original.body, photo()) {
		t.Error("the original is not what was put")
	}
	info := decodeJSON[map[string]any](t, s.get("/shop/info/banners/hero.jpg").is(t, 200).body)
	if info["width"] != 4000.0 || info["thumbhash"] == "" || info["id"] != receipt.ID {
		t.Errorf("info %v", info)
	}
}

// modernType tells WebP by its first bytes.
func modernType(b []byte) string {
	if len(b) > 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP" {
		return "image/webp"
	}
	return "something else"
}

func TestThousandClients(t *testing.T) {
	s := boot(t, nil)
	for name, leader := range map[string]func(*testing.T, *site, string){
		"all stay":                    func(*testing.T, *site, string) {},
		"the first hangs up at once ": hangUp,
	} {
		t.Run(name, func(t *testing.T) {
			s.put("shop", "cold.jpg", picture(t, uint64(len(name)), 1600, 1200))
			const url = "/shop/w=300,f=webp/cold.jpg"
			renders, reads := s.metric("assetmatrix_renders_total"), s.metric("assetmatrix_provider_reads_total")
			leader(t, s, url)
			bodies := burst(t, s, url, 1000)
			for i, b := range bodies {
				if !bytes.Equal(b, bodies[0]) || len(b) == 0 {
					t.Fatalf("body %d has %d bytes, body 0 %d", i, len(b), len(bodies[0]))
				}
			}
			if got := s.metric("assetmatrix_renders_total") - renders; got != 1 {
				t.Errorf("%v renders, want exactly 1", got)
			}
			if got := s.metric("assetmatrix_provider_reads_total") - reads; got > 1 {
				t.Errorf("%v provider reads, want at most 1", got)
			}
		})
	}
}

// hangUp asks for a URL and closes the connection.
func hangUp(t *testing.T, s *site, url string) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.delivery, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", url); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// burst asks for one URL over n connections at once.
func burst(t *testing.T, s *site, url string, n int) [][]byte {
	t.Helper()
	bodies := make([][]byte, n)
	failures := make(chan error, n)
	var gate, all sync.WaitGroup
	gate.Add(1)
	for i := range n {
		all.Go(func() {
			gate.Wait()
			a, err := s.ask(http.MethodGet, s.delivery+url, nil, "Connection", "close")
			if err == nil && a.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s: %.200s", a.Status, a.body)
			}
			if err != nil {
				failures <- err
				return
			}
			bodies[i] = a.body
		})
	}
	gate.Done()
	all.Wait()
	close(failures)
	for err := range failures {
		t.Fatal(err)
	}
	return bodies
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.product("shop")
	s.put("shop", "a.jpg", picture(t, 1, 800, 600))
	const url = "/shop/w=320,f=jpeg/a.jpg"
	before := s.get(url).is(t, 200)
	original := s.get("/shop/original/a.jpg").is(t, 200)
	s.kill()

	s = start(t, dir)
	after := s.get(url).is(t, 200)
	if got := after.Header.Get("Cache-Status"); got != "assetmatrix; hit; detail=disk" {
		t.Errorf("after the crash: Cache-Status %q", got)
	}
	if !bytes.Equal(before.body, after.body) || before.Header.Get("ETag") != after.Header.Get("ETag") {
		t.Error("bytes or ETag changed with the crash")
	}
	s.kill()

	cached := files(t, filepath.Join(dir, "cache"))
	flipped := 0
	for _, path := range cached {
		flipped += flip(t, path)
	}
	if flipped < 2 {
		t.Fatalf("only %d cache files had a byte to flip: %v", flipped, cached)
	}
	s = start(t, dir)
	for path, want := range map[string]answer{url: before, "/shop/original/a.jpg": original} {
		got := s.get(path).is(t, 200)
		if !bytes.Equal(got.body, want.body) || got.Header.Get("ETag") != want.Header.Get("ETag") {
			t.Errorf("%s: a flipped byte was served", path)
		}
	}
	if got := s.metric("assetmatrix_corrupt_total"); got < 1 {
		t.Errorf("assetmatrix_corrupt_total is %v", got)
	}
	s.get(url).is(t, 200)
}

// flip turns one bit in the middle of a file's body and returns 1, or 0 for an empty file.
func flip(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) == 0 {
		return 0
	}
	content[len(content)/2] ^= 0x10
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return 1
}

func TestSharing(t *testing.T) {
	s := boot(t, nil)
	content := picture(t, 2, 800, 600)
	receipt := s.put("shop", "a.jpg", content)
	s.product("app")
	if _, err := s.PutLink(t.Context(), "app", "other/name.jpg", client.LinkSpec{Asset: receipt.ID}); err != nil {
		t.Fatal(err)
	}
	first := s.get("/shop/w=200,f=jpeg/a.jpg").is(t, 200)
	renders := s.metric("assetmatrix_renders_total")
	second := s.get("/app/width=200,format=jpeg/other/name.jpg").is(t, 200)
	if got := second.Header.Get("Cache-Status"); got != "assetmatrix; hit; detail=memory" {
		t.Errorf("the second product's Cache-Status is %q", got)
	}
	if !bytes.Equal(first.body, second.body) || s.metric("assetmatrix_renders_total") != renders {
		t.Error("the second product's picture was rendered again")
	}

	stored := files(t, filepath.Join(s.dir, "originals"))
	again := s.put("shop", "b.jpg", content)
	if again.ID == receipt.ID || again.Digest != receipt.Digest {
		t.Errorf("the same bytes under another name: %+v", again)
	}
	if got := files(t, filepath.Join(s.dir, "originals")); len(got) != len(stored) || len(got) != 1 {
		t.Errorf("stored originals: %v, then %v", stored, got)
	}
}

func TestNotModifiedWithNothingBehind(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.product("shop")
	s.put("shop", "a.jpg", picture(t, 3, 800, 600))
	urls := []string{"/shop/w=320/a.jpg", "/shop/original/a.jpg", "/shop/info/a.jpg"}
	tags := map[string]string{}
	for _, url := range urls {
		tags[url] = s.get(url, "Accept", "image/webp").is(t, 200).Header.Get("ETag")
	}
	s.kill()
	if err := os.RemoveAll(filepath.Join(dir, "cache")); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir)
	if err := os.Rename(filepath.Join(dir, "originals"), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	for _, url := range urls {
		a := s.get(url, "Accept", "image/webp", "If-None-Match", tags[url]).is(t, 304)
		if a.Header.Get("ETag") != tags[url] || a.Header.Get("Cache-Control") == "" || len(a.body) != 0 {
			t.Errorf("%s: the 304 has %v and %d bytes", url, a.Header, len(a.body))
		}
	}
	if a := s.get(urls[0], "Accept", "image/webp"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("with nothing behind, an unconditional request gets %s, want 503 with Retry-After", a.Status)
	}
	if err := os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "originals")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the provider is back", func() bool {
		a, err := s.ask(http.MethodGet, s.delivery+urls[0], nil, "Accept", "image/webp")
		return err == nil && a.StatusCode == 200
	})
}
