package assetmatrix

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// A sharedBuffer may be written and read at once.
type sharedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *sharedBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sharedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestFormatsAreLogged: the log says once, at the start, what is read and written.
func TestFormatsAreLogged(t *testing.T) {
	var logs sharedBuffer
	ctx, stop := context.WithCancel(t.Context())
	system, err := New(ctx, testConfig(t.TempDir()), "test", &logs)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- system.Run(ctx) }()
	newSite(t, "", system.DeliveryAddr().String(), system.ControlAddr().String()).product("shop")
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(logs.String()) {
		var l struct {
			Msg           string
			Reads, Writes []string
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "formats" {
			found++
			if all := strings.Join(append(l.Reads, l.Writes...), " "); !strings.Contains(all, "image/svg+xml") || !strings.Contains(all, "webp") {
				t.Errorf("%s", line)
			}
		}
	}
	if found != 1 {
		t.Errorf("the log says it %d times: %s", found, logs.String())
	}
}

// TestSVG: a drawing is a picture to the matrix and the front door, and its original stays in its sandbox.
func TestSVG(t *testing.T) {
	s := boot(t, nil)
	s.put("shop", "logo.svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 30"><script>alert(1)</script><circle cx="20" cy="15" r="10"/></svg>`))
	info := s.get("/shop/info/logo.svg").is(t, 200)
	for _, said := range []string{`"image/svg+xml"`, `"width":40`, `"height":30`} {
		if !strings.Contains(strings.ReplaceAll(string(info.body), " ", ""), said) {
			t.Errorf("info does not say %s: %s", said, info.body)
		}
	}
	webp := s.get("/shop/w=400,fit=contain/logo.svg", "Accept", "image/webp").is(t, 200)
	if kind := webp.Header.Get("Content-Type"); kind != "image/webp" || !bytes.HasPrefix(webp.body, []byte("RIFF")) || webp.Header.Get("Content-Security-Policy") != "" {
		t.Errorf("%s %v", kind, webp.Header)
	}
	original := s.get("/shop/original/logo.svg").is(t, 200)
	if policy := original.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "sandbox") || original.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%v", original.Header)
	}
}
