package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// The server re-executes this test binary as a render worker, and a bench as a server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == assetmatrix.WorkerCommand || os.Args[1] == "serve") {
		main()
	}
	os.Exit(m.Run())
}

// An outcome is what a command left behind.
type outcome struct {
	status    int
	out, errs string
}

// do runs the command line with nothing on standard input.
func do(t *testing.T, args ...string) outcome {
	t.Helper()
	return feed(t, "", args...)
}

func feed(t *testing.T, in string, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(t.Context(), args, strings.NewReader(in), &out, &errs)
	return outcome{status, out.String(), errs.String()}
}

// ok fails the test unless the command did what was asked and said these things, and nothing on standard error.
func (o outcome) ok(t *testing.T, says ...string) outcome {
	t.Helper()
	if o.status != 0 || o.errs != "" {
		t.Fatalf("exit %d: %s", o.status, o.errs)
	}
	for _, s := range says {
		if !strings.Contains(o.out, s) {
			t.Errorf("the output does not say %q:\n%s", s, o.out)
		}
	}
	return o
}

// fails holds the command to an exit status, to words on standard error, and to silence on standard output.
func (o outcome) fails(t *testing.T, status int, says ...string) {
	t.Helper()
	if o.status != status || o.out != "" || !strings.HasPrefix(o.errs, "assetmatrix: ") {
		t.Errorf("exit %d, want %d: %q, %q", o.status, status, o.out, o.errs)
	}
	for _, s := range says {
		if !strings.Contains(o.errs, s) {
			t.Errorf("the error does not say %q: %s", s, o.errs)
		}
	}
}

// parsed reads the JSON that a command printed, all of which T must have a place for.
func parsed[T any](t *testing.T, o outcome) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(o.ok(t).out))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, o.out)
	}
	return v
}

// config writes a configuration file for a server of the test's own.
func config(t *testing.T) string {
	t.Helper()
	return write(t, "config.yaml", fmt.Sprintf("data_dir: %s\ndelivery: {listen: '127.0.0.1:0'}\ncontrol: {listen: '127.0.0.1:0'}\n", t.TempDir()))
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serving runs the command `serve` until the test ends, and returns where the front door is. The other commands find
// the server by the environment.
func serving(t *testing.T) (delivery string) {
	t.Helper()
	return servingWith(t, config(t))
}

// servingWith serves with the configuration at path.
func servingWith(t *testing.T, path string) (delivery string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	logs, errs := io.Pipe()
	var out bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", path}, strings.NewReader(""), &out, errs)
		_ = errs.Close()
	}()
	up, drained := make(chan [2]string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			var line struct{ Msg, Delivery, Control string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				up <- [2]string{line.Delivery, line.Control}
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != 0 || out.Len() > 0 {
			t.Errorf("serve ended with %d, and put %q on standard output", status, out.String())
		}
		<-drained
	})
	select {
	case at := <-up:
		t.Setenv("ASSETMATRIX_SERVER", "http://"+at[1])
		return "http://" + at[0]
	case status := <-ended:
		ended <- status
		t.Fatalf("serve ended with %d", status)
	case <-time.After(30 * time.Second):
		t.Fatal("serve does not say where it serves")
	}
	return ""
}

func picture(t *testing.T) string {
	t.Helper()
	jpg, err := corpus.JPEG(corpus.Landscape(1, 300, 200), 85)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "hero.jpg", string(jpg))
}

func TestFromUploadToDelivery(t *testing.T) {
	delivery := serving(t)
	do(t, "products", "put", "shop", "--preset", "thumb=w=100,h=100,fit=cover", "--preset", "wide=w=9", "--origin", "https://shop.example", "--client-hints").ok(t, "product   shop", "preset    thumb=w=100,h=100,fit=cover", "origin    https://shop.example", "hints     density", "revision")
	do(t, "products", "put", "app").ok(t)
	do(t, "products").ok(t, "PRODUCT", "shop", "thumb wide", "app")

	file := picture(t)
	do(t, "put", "shop/banners/hero.jpg", file).ok(t, "version   1\n", "image/jpeg", "300 × 200 px", "/shop/original/banners/hero.jpg")
	do(t, "put", "shop/banners/hero.jpg", file).ok(t, "version   1 (these bytes were there already)")
	feed(t, "a,b\n1,2\n", "put", "shop/prices.csv", "-", "--type", "text/csv").ok(t, "text/csv", "8 bytes\n")
	feed(t, "a,b\n3,4\n", "put", "shop/prices.csv", "-", "--type", "text/csv", "--if-version", "1").ok(t, "version   2\n")

	do(t, "link", "app/hero.jpg", "shop/banners/hero.jpg", "--pin", "1").ok(t, "app/hero.jpg is asset ")
	do(t, "get", "shop/banners/hero.jpg").ok(t, "ACTIVE, version 1", "300×200", "app      hero.jpg          pinned to 1", "shop     banners/hero.jpg  follows")
	do(t, "list", "shop").ok(t, "banners/hero.jpg", "prices.csv")
	if o := do(t, "ls", "shop/", "--prefix", "pri").ok(t, "prices.csv"); strings.Contains(o.out, "hero") {
		t.Error(o.out)
	}

	url := strings.TrimSpace(do(t, "url", "app/hero.jpg", "h=20,w=10,fit=cover,f=png", "--delivery", delivery+"/").ok(t).out)
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%s: %s", url, resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestJSON(t *testing.T) {
	serving(t)
	product := parsed[client.Product](t, do(t, "products", "put", "shop", "--preset", "thumb=w=100", "--max-age", "60", "--s-maxage", "3600", "--json"))
	if l := product.Lifetimes; l == nil || l.MaxAge != 60 || l.SharedMaxAge != 3600 {
		t.Errorf("lifetimes %+v", l)
	}
	if product.Name != "shop" || product.Presets["thumb"] != "w=100" || product.Revision == 0 {
		t.Errorf("%+v", product)
	}
	if all := parsed[client.Products](t, do(t, "products", "--json")); len(all.Products) != 1 || all.Products[0].Name != "shop" {
		t.Errorf("%+v", all)
	}
	receipt := parsed[client.Receipt](t, do(t, "put", "shop/hero.jpg", picture(t), "--json"))
	if !receipt.Created || receipt.Width != 300 || receipt.Path != "/shop/original/hero.jpg" {
		t.Errorf("%+v", receipt)
	}
	link := parsed[client.Link](t, do(t, "link", "shop/other.jpg", "shop/hero.jpg", "--json"))
	if link.Asset != receipt.ID || link.Name != "other.jpg" {
		t.Errorf("%+v", link)
	}
	if entry := parsed[client.Entry](t, do(t, "get", "shop/other.jpg", "--json")); entry.ID != receipt.ID || len(entry.Links) != 2 {
		t.Errorf("%+v", entry)
	}
	page := parsed[client.Page](t, do(t, "list", "shop", "--limit", "1", "--json"))
	if len(page.Assets) != 1 || page.Assets[0].Name != "hero.jpg" || page.Next == "" {
		t.Fatalf("%+v", page)
	}
	if rest := parsed[client.Page](t, do(t, "list", "shop", "--cursor", page.Next, "--json")); len(rest.Assets) != 1 || rest.Assets[0].Name != "other.jpg" {
		t.Errorf("%+v", rest)
	}
	if v := parsed[map[string]string](t, do(t, "version", "--json")); v["version"] != version || v["go"] != runtime.Version() {
		t.Error(v)
	}
}

// Where the next page begins is not among the rows: a pipe would take it for one.
func TestMoreIsSaidOnStandardError(t *testing.T) {
	serving(t)
	do(t, "products", "put", "shop").ok(t)
	for _, name := range []string{"a", "b"} {
		feed(t, name, "put", "shop/"+name, "-").ok(t)
	}
	if o := do(t, "list", "shop", "--limit", "1"); o.status != 0 || strings.Count(o.out, "\n") != 2 || !strings.HasPrefix(o.errs, "There is more: --cursor ") {
		t.Errorf("%+v", o)
	}
}

func TestFailures(t *testing.T) {
	serving(t)
	do(t, "products", "put", "shop").ok(t)
	feed(t, "x", "put", "shop/a", "-").ok(t)
	do(t, "list", "nobody").fails(t, 1, "(404)", `no product "nobody"`)
	do(t, "get", "shop/b").fails(t, 1, "(404)")
	do(t, "put", "shop/c", filepath.Join(t.TempDir(), "none.jpg")).fails(t, 1, "none.jpg")
	do(t, "put", "shop/c", t.TempDir()).fails(t, 1, "is a directory")
	feed(t, "", "put", "shop/c", "-").fails(t, 1, "(400)", "empty")
	feed(t, "y", "put", "shop/a", "-", "--create-only").fails(t, 1, "(412)")
	feed(t, "y", "put", "shop/a", "-", "--if-version", "7").fails(t, 1, "(412)")
	do(t, "link", "shop/c", "shop/b").fails(t, 1, "(404)")
	do(t, "link", "nobody/c", "shop/a").fails(t, 1, "(404)")
	do(t, "products", "put", "Shop").fails(t, 1, "(400)")
	do(t, "products", "put", "shop", "--preset", "t=w=0").fails(t, 1, "(422)", "[/presets/t]", "1–8192")
	do(t, "products", "--server", "http://127.0.0.1:1").fails(t, 1, "unavailable")
}

func TestUsageErrors(t *testing.T) {
	nothing := write(t, "bad.yaml", "colour: red\n")
	for _, line := range []string{
		"nonsense", "--nonsense", "put", "put shop/a", "put shop/a b c", "put shop b", "put /a b", "put shop/ b", "put shop/a b --nonsense",
		"put shop/a b --if-version one", "put shop/a b --if-version 0", "get", "get a b", "get /a", "get / ", "get shop", "list", "list shop x", "list shop --limit many", "link a/b", "link a b/c", "link a/b c",
		"url", "url shop", "url shop/a w=0", "url shop/a wdth=1", "url Shop/a", "url shop/a w=1 x", "products x", "products put", "products put shop --preset thumb",
		"products put shop --preset thumb=", "products --server localhost:9090", "version x", "check x", "serve x", "serve --role edge",
		"publish", "publish shop", "archive shop/a b", "rollback shop/a", "rollback shop/a 0", "rollback shop/a one", "rollback shop/a 1 --if-version 0",
		"tag shop/a", "tag shop/a b --none", "focal shop/a", "focal shop/a 0.5", "focal shop/a 0.5 1.5", "focal shop/a NaN 0", "focal shop/a 0.5 0.5 --unset",
		"unlink shop", "delete", "delete shop/a b", "delete shop/a --if-version -1", "put shop/a b --if-version 1 --create-only", "put shop/a b --wait all",
		"resolve", "resolve shop", "resolve shop/a w=1 x", "resolve shop/a --min-revision -1", "purge", "purge x", "purge --asset a --url b", "purge --asset a --product b",
		"purge --asset /b", "products get", "products delete", "products put shop --if-state a --create-only", "transact", "transact a b", "changes x",
		"changes --after now", "replicas x", "backup", "backup a b", "restore", "restore a b", "restore /none --config /none.yaml", "garbage x", "garbage --grace day",
		"list shop --token-file /none", "check --config /none.yaml", "check --config " + nothing, "serve --config " + nothing,
	} {
		do(t, strings.Fields(line)...).fails(t, 2)
	}
	do(t, "put", "shop/a").fails(t, 2, "usage: assetmatrix put PRODUCT/NAME FILE")
	do(t, "check", "--config", nothing).fails(t, 2, "line 1", "colour")
	do(t, "url", "shop/a", "w=0").fails(t, 2, "width", "1–8192")
}

func TestHelpAndVersion(t *testing.T) {
	for _, line := range []string{"", "--help", "help put", "put --help"} {
		do(t, strings.Fields(line)...).ok(t, "Usage:")
	}
	do(t, "version").ok(t, "assetmatrix "+version, runtime.Version())
	do(t, "--version").ok(t, version)
}

// The URL that is printed is the one spelling of what was asked for.
func TestURL(t *testing.T) {
	for args, want := range map[string]string{
		"shop/a":                                 "http://127.0.0.1:8080/shop/original/a",
		"shop/a info":                            "http://127.0.0.1:8080/shop/info/a",
		"shop/é/b.jpg height=3,width=1":          "http://127.0.0.1:8080/shop/h=3,w=1/%C3%A9/b.jpg",
		"shop/a v=2":                             "http://127.0.0.1:8080/shop/v=2,f=auto/a",
		"shop/a width=1,v=2":                     "http://127.0.0.1:8080/shop/v=2,w=1/a",
		"shop/a thumb,width=1":                   "http://127.0.0.1:8080/shop/thumb,width=1/a",
		"shop/a w=1 --delivery https://cdn.test": "https://cdn.test/shop/w=1/a",
	} {
		if o := do(t, append([]string{"url"}, strings.Fields(args)...)...).ok(t); o.out != want+"\n" {
			t.Errorf("%s: %s, want %s", args, o.out, want)
		}
	}
}

func TestCheck(t *testing.T) {
	do(t, "check", "--config", config(t)).ok(t, "can be used", "1 provider(s), 0 product(s)")
	serving(t)
	listen := strings.TrimPrefix(os.Getenv("ASSETMATRIX_SERVER"), "http://")
	live := write(t, "config.yaml", "control: {listen: '"+listen+"'}\n")
	if o := do(t, "check", "--live", "--config", live).ok(t); o.out != "" {
		t.Errorf("%q", o.out)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := write(t, "config.yaml", "control: {listen: '"+nobody.Addr().String()+"'}\n")
	_ = nobody.Close()
	do(t, "check", "--live", "--config", dead).fails(t, 1, "no server answers at "+nobody.Addr().String())
}
