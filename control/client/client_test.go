package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// answering returns a client of something that answers so. (The client against a real server is tested in package
// control.)
func answering(t *testing.T, status int, mediaType, body string) *Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	c, err := New(s.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status          int
		mediaType, body string
		want            string
	}{
		{502, "text/html", "<h1>Bad Gateway</h1>", "Bad Gateway (502)"},
		{404, "application/problem+json", `{"title":"There is no such thing here","detail":"there is no product \"x\"","part":"product","allowed":"the products"}`, `There is no such thing here (404): there is no product "x" [product]; allowed: the products`},
		{500, "application/problem+json; charset=utf-8", `{"title":"Something went wrong here"}`, "Something went wrong here (500)"},
		{500, "application/problem+json", `{`, "Internal Server Error (500)"},
		{418, "application/problem+json", `{}`, "I'm a teapot (418)"},
	} {
		_, err := answering(t, c.status, c.mediaType, c.body).Product(t.Context(), "x")
		if p, ok := errors.AsType[*asset.Problem](err); !ok || p.Status != c.status || p.Error() != c.want {
			t.Errorf("%s: %v", c.body, err)
		}
	}
}

func TestNoServer(t *testing.T) {
	_, err := answering(t, 200, "text/html", "<html>").Products(t.Context())
	if !errors.Is(err, asset.ErrUnavailable) || !strings.Contains(err.Error(), "does not answer like an assetmatrix server") {
		t.Error(err)
	}
}

func TestEscapeName(t *testing.T) {
	for name, want := range map[string]string{"a": "a", "a/b c": "a/b%20c", "100%/é?#;": "100%25/%C3%A9%3F%23%3B", "a+b,c=d": "a+b%2Cc=d"} {
		if got := EscapeName(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// A server that says nothing more is not waited for.
func TestSilenceEndsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		r, w := io.Pipe()
		context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
		body := watch(r, end)
		go func() {
			_, _ = io.WriteString(w, "a")
			time.Sleep(silence - time.Second)
			_, _ = io.WriteString(w, "b")
		}()
		buf := make([]byte, 8)
		for range 2 {
			if n, err := body.Read(buf); n != 1 || err != nil {
				t.Error(n, err)
			}
		}
		time.Sleep(2 * silence) // is the reader's own
		if ctx.Err() != nil {
			t.Error("a reader that takes its time is cut off")
		}
		began := time.Now()
		if _, err := body.Read(buf); !errors.Is(err, context.Canceled) || time.Since(began) != silence {
			t.Error(err, time.Since(began))
		}
	})
}

func TestChangesThatCannotBeRead(t *testing.T) {
	for body, want := range map[string]string{"data: {\n\n": "cannot be read", "data: {}\n\n": "broke off", "": "broke off", "data: " + strings.Repeat("x", 17<<20): "too long"} {
		err := answering(t, 200, "text/event-stream", body).Changes(t.Context(), 0, func(Change) error { return nil })
		if !errors.Is(err, asset.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", body, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := answering(t, 200, "text/event-stream", "data: {}\n\n").Changes(ctx, 0, func(Change) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAnswersWithoutManifest(t *testing.T) {
	c := answering(t, 200, "application/octet-stream", "bytes")
	if _, _, err := c.Snapshot(t.Context()); !errors.Is(err, asset.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := c.Backup(t.Context(), io.Discard); !errors.Is(err, asset.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := c.Resolve(t.Context(), "shop", "original/x", "a", ResolveOptions{}); !errors.Is(err, asset.ErrInvalid) {
		t.Error(err)
	}
}

func TestToken(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"name":"`+r.Header.Get("Authorization")+`"}`)
	}))
	t.Cleanup(s.Close)
	c, err := New(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{"": "", "secret": "Bearer secret"} {
		if p, err := c.WithToken("other").WithToken(token).Product(t.Context(), "x"); p.Name != want || err != nil {
			t.Errorf("%q: %q, %v", token, p.Name, err)
		}
	}
	if p, _ := c.Product(t.Context(), "x"); p.Name != "" {
		t.Error("WithToken changes its receiver")
	}
}
