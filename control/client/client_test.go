package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
