package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"

	"github.com/assetmatrix/assetmatrix/asset"
)

// secretOf spells the token that a test's configuration gives that name.
func secretOf(name string) string { return "token-of-" + name + "-0123456789" }

// with configures tokens.
func with(tokens ...Token) change {
	return func(c *Config, _ *Deps) {
		for _, t := range tokens {
			if t.Token == "" && t.TokenFile == "" {
				t.Token = Secret(secretOf(t.Name))
			}
			c.Tokens = append(c.Tokens, t)
		}
	}
}

var root = Token{Name: "root", Products: []string{"*"}, Verbs: verbs}

// as returns the header of a token.
func as(name string) []string { return []string{"Authorization", "Bearer " + secretOf(name)} }

func TestTokenMatrix(t *testing.T) {
	tokens := []Token{root}
	for _, v := range verbs {
		tokens = append(tokens,
			Token{Name: string(v) + "-shop", Products: []string{"shop"}, Verbs: []Verb{v}},
			Token{Name: string(v) + "-all", Products: []string{"*"}, Verbs: []Verb{v}})
	}
	h := open(t, with(tokens...))
	h.client = h.client.WithToken(secretOf("root"))
	h.shop()
	for _, op := range h.operations() {
		n := needOf(op.id)
		for _, token := range tokens {
			a := h.ask(op.method, op.path, "", as(token.Name)...)
			reaches := token.Products[0] == "*" || n.over != every
			if allowed := n.verb == "" || slices.Contains(token.Verbs, n.verb) && reaches; allowed == (a.StatusCode == 401 || a.StatusCode == 403) {
				t.Errorf("%s %s with %s: %s %s", op.method, op.path, token.Name, a.Status, a.body)
			} else if !allowed {
				refused(t, a, 403, "forbidden", "Authorization", "a token that has")
				if !strings.Contains(string(a.body), string(n.verb)) || !strings.Contains(a.Header.Get("WWW-Authenticate"), "insufficient_scope") {
					t.Errorf("%s: %v %s", op.id, a.Header, a.body)
				}
			}
		}
		none := h.ask(op.method, op.path, "")
		if open := n.verb == ""; open != (none.StatusCode < 400) {
			t.Errorf("%s %s without a token: %s", op.method, op.path, none.Status)
		} else if !open {
			refused(t, none, 401, "unauthorized", "Authorization", "Bearer")
		}
	}
}

// A route is an operation with a path that can be asked for.
type route struct{ id, method, path string }

// operations returns every route: those of /openapi.json, with a shop in the place of a product, and the others.
func (h *house) operations() []route {
	h.t.Helper()
	all := []route{
		{"metrics", "GET", "/metrics"}, {"pprof", "GET", "/debug/pprof/"}, {"pprof", "GET", "/debug/pprof/cmdline"},
		{"pprof", "POST", "/debug/pprof/symbol"}, {"index", "GET", "/"}, {"openapi", "GET", "/openapi.json"},
	}
	doc := decode[struct {
		Paths map[string]map[string]huma.Operation
	}](h.t, h.ask("GET", "/openapi.json", ""), 200)
	for path, methods := range doc.Paths {
		path = strings.NewReplacer("{product}", "shop", "{name}", "a", "{options}", "original", "{digest}", strings.Repeat("0", 64)).Replace(path)
		for method, op := range methods {
			if op.OperationID != "changes" { // which has no end; see TestChangesOfAToken
				all = append(all, route{op.OperationID, strings.ToUpper(method), path})
			}
		}
	}
	return all
}

// Whoever adds an operation says who may use it, and nothing is left of one that was taken away.
func TestEveryOperationHasANeed(t *testing.T) {
	h := open(t)
	found := map[string]bool{"changes": true}
	for _, op := range h.operations() {
		found[op.id] = true
		needOf(op.id)
	}
	for _, id := range slices.Sorted(maps.Keys(needs)) {
		if !found[id] {
			t.Errorf("%s is in the table, and there is no such operation", id)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an operation without a need passes")
		}
	}()
	needOf("unheardOf")
}

func TestUnknownTokens(t *testing.T) {
	h := open(t, with(root))
	for _, value := range []string{
		"", "Bearer", "Bearer ", "Bearer " + secretOf("other"), "Bearer " + secretOf("root") + "x", "Bearer " + secretOf("root")[:20],
		"Basic " + secretOf("root"), secretOf("root"), "Bearer " + strings.ToUpper(secretOf("root")),
	} {
		a := h.ask("GET", "/v1/products", "", "Authorization", value)
		refused(t, a, 401, "unauthorized", "Authorization", "Bearer")
		if got := a.Header.Get("WWW-Authenticate"); got != `Bearer realm="assetmatrix", error="invalid_token"` {
			t.Errorf("%q: %s", value, got)
		}
		if a := h.ask("GET", "/livez", "", "Authorization", value); a.StatusCode != 200 {
			t.Errorf("%q: livez: %s", value, a.Status)
		}
	}
	twice := h.ask("GET", "/v1/products", "", append(as("root"), as("root")...)...)
	refused(t, twice, 401, "unauthorized", "Authorization", "Bearer")
	none := h.ask("GET", "/v1/products", "")
	refused(t, none, 401, "unauthorized", "Authorization", "Bearer")
	if got := none.Header.Get("WWW-Authenticate"); got != `Bearer realm="assetmatrix"` {
		t.Error(got)
	}
	if a := h.ask("GET", "/v1/products", "", "Authorization", "bearer  "+secretOf("root")); a.StatusCode != 200 {
		t.Error("the scheme has no case (RFC 9110 §11.1)", a.Status)
	}
	if a := h.ask("GET", "/v1/products", "", append(as("root"), "Host", "assets.example")...); a.StatusCode != 200 {
		t.Error("with a token, the name that led here is no matter", a.Status)
	}
	cross := append(as("root"), "Sec-Fetch-Site", "cross-site", "Content-Type", "application/json")
	refused(t, h.ask("PUT", "/v1/products/shop", "{}", cross...), 403, "forbidden", "Sec-Fetch-Site", "")
}

// A token reads its own products, in lists as well, and is not told of others.
func TestListsShowTheCallersProducts(t *testing.T) {
	h := open(t, with(root, Token{Name: "shop", Products: []string{"shop", "none"}, Verbs: []Verb{Read}}))
	for _, name := range []string{"blog", "shop"} {
		if a := h.ask("PUT", "/v1/products/"+name, "{}", append(as("root"), "Content-Type", "application/json")...); a.StatusCode != 201 {
			t.Fatal(a.Status)
		}
	}
	list := h.ask("GET", "/v1/products", "", as("shop")...)
	if !strings.Contains(string(list.body), "shop") || strings.Contains(string(list.body), "blog") {
		t.Errorf("%s", list.body)
	}
	refused(t, h.ask("GET", "/v1/products/blog", "", as("shop")...), 403, "forbidden", "Authorization", "")
	refused(t, h.ask("GET", "/v1/products/unheard-of", "", as("shop")...), 403, "forbidden", "Authorization", "")
	refused(t, h.ask("GET", "/v1/products/none", "", as("shop")...), 404, "not-found", "product", "")
	if a := h.ask("GET", "/v1/products", "", as("root")...); !strings.Contains(string(a.body), "blog") {
		t.Errorf("%s", a.body)
	}
}

func TestTokenFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(path, []byte("\n"+secretOf("file")+"\n"), 0o600))
	h := open(t, with(Token{Name: "file", TokenFile: path, Products: []string{"*"}, Verbs: []Verb{Read}}))
	if a := h.ask("GET", "/v1/products", "", as("file")...); a.StatusCode != 200 {
		t.Error(a.Status)
	}
	for content, want := range map[string]string{"short": "16", "has a space in its midst": "16"} {
		must(t, os.WriteFile(path, []byte(content), 0o600))
		cfg := h.server.config
		if _, err := New(cfg, h.server.deps); !errors.Is(err, asset.ErrInvalid) || !strings.Contains(err.Error(), "tokens[0].token_file") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), content) {
			t.Error(err)
		}
	}
	must(t, os.Remove(path))
	if _, err := New(h.server.config, h.server.deps); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "tokens[0].token_file") {
		t.Error(err)
	}
}

func TestTokenRefusals(t *testing.T) {
	good := func() Token {
		return Token{Name: "a", Token: "0123456789abcdef", Products: []string{"shop"}, Verbs: []Verb{Read}}
	}
	for key, spoil := range map[string]func(*Token){
		"name: is empty":                   func(t *Token) { t.Name = "" },
		"token: is a token that cannot":    func(t *Token) { t.Token = "0123456789abcde" },
		"token: is a token that cannot be": func(t *Token) { t.Token = "0123456789 abcdef" },
		"token: is given beside":           func(t *Token) { t.TokenFile = "x" },
		"token: is given beside token":     func(t *Token) { t.Token = "" },
		"verbs: is empty":                  func(t *Token) { t.Verbs = nil },
		`verbs: is "reed"`:                 func(t *Token) { t.Verbs = []Verb{Read, "reed"} },
		"products: is empty":               func(t *Token) { t.Products = nil },
		`products: is ["shop" "*"]`:        func(t *Token) { t.Products = []string{"shop", "*"} },
		`products: is ["Shop"]`:            func(t *Token) { t.Products = []string{"Shop"} },
	} {
		bad := good()
		bad.Name = "b"
		bad.Token = "another-0123456789"
		spoil(&bad)
		cfg := DefaultConfig()
		cfg.Tokens = []Token{good(), bad}
		if err := cfg.Validate(); !errors.Is(err, asset.ErrInvalid) || !strings.Contains(err.Error(), "tokens[1]."+key) || strings.Contains(err.Error(), "0123456789") {
			t.Errorf("%s: %v", key, err)
		}
	}
	for key, second := range map[string]Token{
		"name":  {Name: "a", Token: "another-0123456789", Products: []string{"*"}, Verbs: verbs},
		"token": {Name: "b", Token: good().Token, Products: []string{"*"}, Verbs: verbs},
	} {
		cfg := DefaultConfig()
		cfg.Tokens = []Token{good(), second}
		if err := cfg.Validate(); !errors.Is(err, asset.ErrInvalid) || !strings.Contains(err.Error(), "tokens[1]."+key) || strings.Contains(err.Error(), "0123456789") {
			t.Errorf("%s: %v", key, err)
		}
	}
	cfg := DefaultConfig()
	cfg.Tokens = []Token{good()}
	must(t, cfg.Validate())
}

// Nothing that prints a configuration shows a token.
func TestTokensAreNotShown(t *testing.T) {
	cfg := DefaultConfig()
	with(root)(&cfg, nil)
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("started", "config", cfg, "token", cfg.Tokens[0].Token)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("started", "config", cfg, "token", cfg.Tokens[0].Token)
	fmt.Fprintf(&b, "%v %+v %#v %s %q %s", cfg, cfg, cfg, cfg.Tokens[0].Token, cfg.Tokens[0].Token, errors.New(cfg.Tokens[0].Token.String()))
	for _, marshal := range []func(any) ([]byte, error){yaml.Marshal, json.Marshal} {
		text, err := marshal(cfg)
		must(t, err)
		b.Write(text)
	}
	if strings.Contains(b.String(), secretOf("root")) || strings.Count(b.String(), redacted) < 8 {
		t.Error(b.String())
	}
	var back Config
	must(t, yaml.Unmarshal([]byte("tokens: [{name: a, token: 0123456789abcdef, products: ['*'], verbs: [read]}]"), &back))
	if back.Tokens[0].Token != "0123456789abcdef" || back.Tokens[0].Verbs[0] != Read {
		t.Error("a token that is configured is not read")
	}
}

// With tokens the API can be reached from elsewhere.
func TestListeningElsewhereNeedsTokens(t *testing.T) {
	cfg := DefaultConfig()
	with(root)(&cfg, nil)
	for _, listen := range []string{":9090", "0.0.0.0:9090", "10.0.0.1:9090", "assets.example:9090"} {
		cfg.Listen = listen
		must(t, cfg.Validate())
	}
	for _, listen := range []string{"", "localhost"} {
		cfg.Listen = listen
		if err := cfg.Validate(); !errors.Is(err, asset.ErrInvalid) {
			t.Errorf("%q: %v", listen, err)
		}
	}
	cfg.Listen = "0.0.0.0:0"
	s, err := New(cfg, Deps{Metrics: prometheus.NewRegistry()})
	must(t, err)
	ln, err := net.Listen("tcp", cfg.Listen)
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/livez")
	must(t, err)
	_ = resp.Body.Close()
	must(t, errors.Join(s.Shutdown(t.Context()), <-served))
}
