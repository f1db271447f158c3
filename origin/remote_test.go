package origin

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A plane is a control plane that has one original; answer replaces its answer.
type plane struct {
	*httptest.Server
	object *asset.Object
	answer atomic.Pointer[http.HandlerFunc]
}

func openPlane(t *testing.T, size int) *plane {
	t.Helper()
	p := &plane{object: original(size)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := p.answer.Load(); f != nil {
			(*f)(w, r)
			return
		}
		p.serve(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *plane) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method != http.MethodGet || r.URL.Path != "/api/v1/originals/"+p.object.Key.Original.String():
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("Content-Length", fmt.Sprint(p.object.Size))
		_, _ = io.Copy(w, io.NewSectionReader(p.object, 0, p.object.Size))
	}
}

func (p *plane) says(f http.HandlerFunc) { p.answer.Store(&f) }

// edge opens providers with an empty bucket and the plane behind it.
func (p *plane) edge(t *testing.T, token string, ev Events) *Providers {
	t.Helper()
	e, err := Open(t.Context(), []Config{
		{Name: "near", URL: "mem://"},
		{Name: "control", URL: "control+" + p.URL + "/api", Token: token, Timeout: 2 * time.Second, ScratchDir: t.TempDir()},
	}, ev)
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

func TestRemoteLoads(t *testing.T) {
	for _, size := range sizes {
		p, l := openPlane(t, size), &log{}
		e := p.edge(t, "secret", l.events())
		o, err := e.Load(t.Context(), p.object.Key)
		must(t, err)
		if string(content(t, o)) != string(content(t, p.object)) || o.Key != p.object.Key {
			t.Errorf("%d bytes came as %d others", size, o.Size)
		}
		if _, inMemory := o.Bytes(); inMemory != (size <= maxMemoryBytes) {
			t.Errorf("%d bytes in memory: %t", size, inMemory)
		}
		o.Release()
		wantError(t, loadError(t, e, asset.Key{Original: sha256.Sum256([]byte("no"))}), asset.ErrNotFound)
		if events := l.take(); events != "near missing, control hit, near missing, control missing" {
			t.Errorf("events: %s", events)
		}
	}
}

func TestRemoteRefused(t *testing.T) {
	p, l := openPlane(t, 10), &log{}
	f := func(want error, events, words string, answer http.HandlerFunc) {
		t.Helper()
		e := p.edge(t, "secret", l.events())
		p.says(answer)
		err := loadError(t, e, p.object.Key)
		wantError(t, err, want)
		if !strings.Contains(err.Error(), words) {
			t.Errorf("error is %v, want it to say %q", err, words)
		}
		if got := l.take(); got != "near missing, "+events {
			t.Errorf("events: %s", got)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	f(asset.ErrUnavailable, "control error", "401", status(401))
	f(asset.ErrUnavailable, "control error", "403", status(403))
	f(asset.ErrUnavailable, "control error", "500", status(500))
	f(asset.ErrUnavailable, "control error", "206", status(206))
	var followed atomic.Bool
	f(asset.ErrUnavailable, "control error", "302", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed.Store(true)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	if followed.Load() {
		t.Error("the token went elsewhere")
	}
	f(asset.ErrCorrupt, "control corrupt, control lies", "digest", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "lies") })
	f(asset.ErrUnavailable, "control error", "unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "torn")
	})
	f(asset.ErrUnavailable, "control error", "Content-Length", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "an unknown ")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "length")
	})
	p.answer.Store(nil)
	wantError(t, loadError(t, p.edge(t, "wrong", Events{}), p.object.Key), asset.ErrUnavailable)
	p.Close()
	wantError(t, loadError(t, p.edge(t, "secret", Events{}), p.object.Key), asset.ErrUnavailable)
}

// TestRemoteStalls: a control plane that sends nothing any more is given up, and left alone after a while.
func TestRemoteStalls(t *testing.T) {
	p, l := openPlane(t, 10), &log{}
	e, err := Open(t.Context(), []Config{{
		Name: "control", URL: "control+" + p.URL, Timeout: 20 * time.Millisecond, Breaker: BreakerConfig{Failures: 2},
	}}, l.events())
	must(t, err)
	defer e.Close()
	p.says(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	for range 3 {
		wantError(t, loadError(t, e, p.object.Key), asset.ErrUnavailable)
	}
	if events := l.take(); events != "control error, control is open, control error" {
		t.Errorf("events: %s", events)
	}
}

func TestRemoteIsReadOnly(t *testing.T) {
	p := openPlane(t, 10)
	e := p.edge(t, "secret", Events{})
	names, err := e.Put(t.Context(), p.object)
	must(t, err)
	if len(names) != 1 || names[0] != "near" {
		t.Errorf("stored at %q", names)
	}
	must(t, e.Delete(t.Context(), p.object.Key, names))
	wantError(t, e.Delete(t.Context(), p.object.Key, []string{"control"}), errReadOnly)
	if got := listed(t, e); len(got) > 0 {
		t.Errorf("listed are %q", got)
	}
	if all, err := e.Stat(t.Context(), p.object.Key); err != nil || len(all) > 0 {
		t.Errorf("there is %+v, %v", all, err)
	}
	alone, err := Open(t.Context(), []Config{{Name: "control", URL: "control+" + p.URL}}, Events{})
	must(t, err)
	_, err = alone.Put(t.Context(), p.object)
	wantError(t, err, asset.ErrUnavailable)
	wantError(t, e.list[1].breaker.Put(t.Context(), p.object), errReadOnly)
	wantError(t, loadError(t, alone, asset.Key{Variant: asset.Variant{Width: 1}}), asset.ErrInvalid)
}

func TestRemoteConfig(t *testing.T) {
	for _, url := range []string{"control+http://a:1", "control+https://a.example/base"} {
		must(t, Config{Name: "c", URL: url}.Validate())
	}
	for _, url := range []string{"control+", "control+ftp://a", "control+http://", "control+http://u:p@a", "control+http://a?x=1", "control+%"} {
		if err := (Config{Name: "c", URL: url}).Validate(); err == nil || !strings.Contains(err.Error(), "url") || !strings.Contains(err.Error(), "allowed") {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := Open(t.Context(), []Config{{Name: "c", URL: url}}, Events{}); err == nil {
			t.Errorf("%s was opened", url)
		}
	}
	file := t.TempDir() + "/file"
	must(t, os.WriteFile(file, nil, 0o644))
	if _, err := Open(t.Context(), []Config{{Name: "c", URL: "control+http://a", ScratchDir: file}}, Events{}); err == nil {
		t.Error("a scratch directory that is a file was taken")
	}
}
