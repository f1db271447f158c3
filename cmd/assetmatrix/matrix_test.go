package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func TestTransact(t *testing.T) {
	serving(t)
	shop(t)
	const both = `{"operations": [
		{"op": "put_product", "product": "app"},
		{"op": "put_link", "product": "app", "name": "b", "target": {"product": "shop", "name": "a"}},
		{"op": "patch_asset", "product": "shop", "name": "a", "current": 1}]}`
	o := feed(t, both, "transact", "-").ok(t, "OPERATION", "put_product", "patch_asset", "created", "all done at revision ")
	if strings.Count(o.out, "\n") != 6 {
		t.Errorf("%s", o.out)
	}
	again := parsed[client.Transacted](t, do(t, "transact", write(t, "both.json", both), "--json"))
	if len(again.Results) != 3 || !again.Results[2].Unchanged {
		t.Errorf("%+v", again)
	}
	feed(t, `{"operations": [{"op": "put_product", "product": "c"}, {"op": "delete_asset", "product": "shop", "name": "none"}]}`, "transact", "-").
		fails(t, 1, "(404)", "[/operations/1/name]", "allowed:")
	do(t, "products", "get", "c").fails(t, 1, "(404)")
	feed(t, `{"operations": [{"op": "put_product", "product": "c", "colour": "red"}]}`, "transact", "-").fails(t, 1, "[/operations/0/colour]")
	do(t, "transact", "/none.json").fails(t, 1, "/none.json")
}

func TestResolve(t *testing.T) {
	serving(t)
	do(t, "products", "put", "shop", "--preset", "thumb=w=30").ok(t)
	receipt := parsed[client.Receipt](t, do(t, "put", "shop/hero.jpg", picture(t), "--json"))
	do(t, "resolve", "shop/hero.jpg", "thumb", "--accept", "image/webp").ok(t, "/shop/v=1,", "image/webp", "30 × 20 px", "expires   never")
	do(t, "resolve", "shop/hero.jpg").ok(t, "300 × 200 px", "image/jpeg")
	r := parsed[client.Resolution](t, do(t, "resolve", "shop/hero.jpg", "w=60,f=png", "--min-revision", fmt.Sprint(receipt.Revision), "--json"))
	if r.ID != receipt.ID || r.Width != 60 || r.MediaType != "image/png" || r.Revision < receipt.Revision {
		t.Errorf("%+v", r)
	}
	do(t, "resolve", "shop/none").fails(t, 1, "(404)")
	do(t, "resolve", "shop/hero.jpg", "w=0").fails(t, 1, "1–8192")
	do(t, "resolve", "shop/hero.jpg", "--min-revision", "1000000").fails(t, 1, "(503)", "1000000")
}

func TestPurge(t *testing.T) {
	delivery := serving(t)
	shop(t)
	do(t, "tag", "shop/a", "summer").ok(t)
	id := parsed[client.Entry](t, do(t, "get", "shop/a", "--json")).ID
	for _, args := range []string{"--product shop", "--asset " + id, "--asset shop/a", "--tag summer", "--tag summer --product shop", "--url " + delivery + "/shop/original/a"} {
		do(t, append([]string{"purge"}, strings.Fields(args)...)...).ok(t, "purged at revision ")
	}
	if d := parsed[client.Done](t, do(t, "purge", "--tag", "summer", "--json")); d.Revision == 0 {
		t.Errorf("%+v", d)
	}
	do(t, "purge", "--product", "none").fails(t, 1, "(404)")
	do(t, "purge", "--asset", "shop/none").fails(t, 1, "(404)")
	do(t, "purge", "--url", "/nonsense").fails(t, 1, "allowed:")
}

func TestGarbage(t *testing.T) {
	serving(t)
	shop(t)
	do(t, "delete", "shop/a").ok(t)
	do(t, "garbage").ok(t, "0 originals of 0 bytes deleted")
	do(t, "garbage", "--grace", "0s", "--dry-run").ok(t, "local", "false", "2 originals of 6 bytes would be deleted")
	all := parsed[client.Collected](t, do(t, "garbage", "--grace", "0s", "--json"))
	if all.Count != 2 || all.Size != 6 || all.DryRun || !all.Originals[0].Deleted {
		t.Errorf("%+v", all)
	}
	do(t, "garbage", "--grace", "-1h").fails(t, 1, "allowed:")
}

func TestReplicas(t *testing.T) {
	serving(t)
	shop(t)
	do(t, "replicas").ok(t, "REPLICA", "all")
	if all := parsed[client.Replicas](t, do(t, "replicas", "--json")); len(all.Replicas) != 1 || all.Replicas[0].Role != "all" || all.Revision == 0 {
		t.Errorf("%+v", all)
	}
}

// A write that waits for the edges says the same as one that does not.
func TestWait(t *testing.T) {
	serving(t)
	do(t, "products", "put", "shop", "--wait", "edges").ok(t)
	feed(t, "one", "put", "shop/a", "-", "--wait", "edges").ok(t, "version   1")
	feed(t, "one", "put", "shop/b", "-", "--wait", "edges", "--json").ok(t)
	do(t, "delete", "shop/a", "--wait", "edges").ok(t)
}

// Every answer of a write may say that edges are behind: the write is shown, and the waiting has failed.
func TestEdgesBehind(t *testing.T) {
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		fmt.Fprint(w, `{"revision": 7, "edges": {"waited": true, "behind": ["edge-7"]}}`)
	}))
	defer s.Close()
	for _, line := range []string{
		"products put shop", "products delete shop", "put shop/a -", "publish shop/a", "link shop/a shop/b", "unlink shop/a", "delete shop/a",
		"purge --tag x", "garbage", "transact -",
	} {
		o := feed(t, "x", append(strings.Fields(line), "--server", s.URL, "--wait", "edges")...)
		if o.status != 1 || !strings.Contains(o.errs, "edge-7") || o.out == "" || asked != "wait=edges" {
			t.Errorf("%s: exit %d, %q, %q, asked for %q", line, o.status, o.out, o.errs, asked)
		}
	}
}

// following runs `changes` and returns its lines as they come, and what stops it.
func following(t *testing.T, args ...string) (lines <-chan string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, into := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, append([]string{"changes"}, args...), strings.NewReader(""), into, io.Discard)
		_ = into.Close()
	}()
	c := make(chan string, 100)
	go func() {
		defer close(c)
		for s := bufio.NewScanner(out); s.Scan(); {
			c <- s.Text()
		}
	}()
	t.Cleanup(cancel)
	return c, func() int { cancel(); return <-ended }
}

func TestChanges(t *testing.T) {
	serving(t)
	shop(t)
	lines, stop := following(t, "--after", "0")
	for _, want := range []string{"put_product", "put_asset", "put_link", "add_version"} {
		if line := <-lines; !strings.Contains(line, want) || !strings.Contains(line, " shop") {
			t.Errorf("%q, want %s", line, want)
		}
	}
	if status := stop(); status != 0 {
		t.Errorf("an interrupted `changes` ends with %d", status)
	}

	lines, stop = following(t, "--after", "1", "--json")
	defer stop()
	do(t, "purge", "--product", "shop").ok(t)
	for revision := uint64(2); ; revision++ {
		var change client.Change
		if line := <-lines; json.Unmarshal([]byte(line), &change) != nil || change.Revision != revision {
			t.Fatalf("%q, want revision %d", line, revision)
		}
		if change.Changes[0].Kind == "purge" {
			break
		}
	}
	do(t, "changes", "--server", "http://127.0.0.1:1").fails(t, 1, "unavailable")
}

// A server that goes away is asked again, from where it broke off.
func TestChangesAfterABreak(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/products" {
			fmt.Fprint(w, `{"products": [], "revision": 7}`)
			return
		}
		asked = append(asked, r.URL.Query().Get("after"))
		fmt.Fprintf(w, "data: {\"revision\": %d, \"changes\": [{\"kind\": \"purge\", \"tag\": \"x\"}]}\n\n", 7+len(asked))
	}))
	defer s.Close()
	lines, stop := following(t, "--server", s.URL)
	for _, want := range []string{"8  ", "9  "} {
		if line := <-lines; !strings.HasPrefix(line, want) {
			t.Errorf("%q", line)
		}
	}
	if stop(); strings.Join(asked, " ") != "7 8" {
		t.Error(asked)
	}
}

func TestBackupAndRestore(t *testing.T) {
	serving(t)
	shop(t)
	want := do(t, "list", "shop", "--json").ok(t).out
	file := filepath.Join(t.TempDir(), "matrix")
	do(t, "backup", file).ok(t, "revision", "hash", "epoch", "size")
	m := parsed[client.Manifest](t, do(t, "backup", file, "--json"))
	bytes, err := os.ReadFile(file)
	if err != nil || m.Revision == 0 || m.SHA256 != sha256.Sum256(bytes[int64(len(bytes))-m.Size:]) { // the matrix stands behind its manifest
		t.Fatalf("%+v of %d bytes: %v", m, len(bytes), err)
	}
	if o := do(t, "backup", "-").ok(t); len(o.out) == 0 {
		t.Error("standard output holds no backup")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Error(left)
	}

	empty := config(t)
	damaged := write(t, "damaged", string(bytes[:len(bytes)-1]))
	do(t, "restore", damaged, "--config", empty).fails(t, 1)
	do(t, "restore", file, "--config", empty).ok(t, "revision  "+fmt.Sprint(m.Revision), m.Hash.String())
	do(t, "restore", file, "--config", empty).fails(t, 1, "empty")
	servingWith(t, empty)
	got := do(t, "list", "shop", "--json").ok(t).out
	if page, old := decoded(t, got), decoded(t, want); len(page.Assets) != 1 || page.Assets[0] != old.Assets[0] || page.Revision < old.Revision {
		t.Errorf("%s, want %s", got, want)
	}

	other := config(t)
	if r := parsed[client.Manifest](t, feed(t, string(bytes), "restore", "-", "--config", other, "--json")); r.Revision != m.Revision || r.Hash != m.Hash {
		t.Errorf("%+v, want %+v", r, m)
	}
	do(t, "restore", "/none", "--config", config(t)).fails(t, 1, "/none")
}

func decoded(t *testing.T, text string) (page client.Page) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatal(err)
	}
	return page
}

// A backup that cannot be restored gets no name.
func TestBackupIsVerified(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", client.ManifestHeader)
		fmt.Fprint(w, "backup")
		w.Header().Set(client.ManifestHeader, "{}")
	}))
	defer s.Close()
	dir := t.TempDir()
	do(t, "backup", filepath.Join(dir, "matrix"), "--server", s.URL).fails(t, 1, "no backup")
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Error(left)
	}
	do(t, "backup", "/none/matrix", "--server", s.URL).fails(t, 1, "/none")
	do(t, "backup", filepath.Join(dir, "matrix"), "--server", "http://127.0.0.1:1").fails(t, 1, "unavailable")
}

// Where tokens are configured, each command presents its own.
func TestTokens(t *testing.T) {
	const admin, reader = "0123456789abcdef-admin", "0123456789abcdef-reader"
	dir := t.TempDir()
	servingWith(t, write(t, "config.yaml", fmt.Sprintf(`data_dir: %s
delivery: {listen: '127.0.0.1:0'}
control:
  listen: '127.0.0.1:0'
  tokens:
    - {name: admin, token: %s, products: ['*'], verbs: [read, write, admin]}
    - {name: reader, token: %s, products: [shop], verbs: [read]}
`, dir, admin, reader)))
	do(t, "products").fails(t, 1, "(401)", "the request has no token")
	t.Setenv("ASSETMATRIX_TOKEN", admin)
	do(t, "products", "put", "shop").ok(t)
	mine := write(t, "token", reader+"\n")
	do(t, "products", "--token-file", mine).ok(t, "shop")
	do(t, "products", "put", "shop", "--token-file", mine).fails(t, 1, "(403)", `token "reader"`)
	do(t, "products", "--token-file", write(t, "empty", "\n")).fails(t, 2, "is empty")
	do(t, "products", "--token", admin).fails(t, 2)
}

func TestCompletion(t *testing.T) {
	serving(t)
	shop(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		do(t, "completion", shell).ok(t, "assetmatrix")
	}
	completed := func(args ...string) []string {
		var out bytes.Buffer
		run(t.Context(), append([]string{"__complete"}, args...), strings.NewReader(""), &out, io.Discard)
		return strings.Fields(out.String())
	}
	for _, c := range []struct {
		line string
		want string // with cobra's directive behind it
	}{
		{"get|", "shop/ :6"},
		{"get|shop/", "shop/a :4"},
		{"get|shop/b", ":4"},
		{"get|none/", ":4"},
		{"list|s", "shop :4"},
		{"list|x", ":4"},
		{"put|shop/a|", ":0"},
		{"serve|--role|", "all control edge :4"},
		{"purge|--asset|shop/", "shop/a :4"},
		{"put|--wait|", "edges :4"},
		{"list|--server|http://127.0.0.1:1|", ":4"},
		{"list|--server|nonsense|", ":1"},
	} {
		if got := strings.Join(completed(strings.Split(c.line, "|")...), " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
}
