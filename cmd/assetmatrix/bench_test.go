package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/bench"
)

func TestBenchUsage(t *testing.T) {
	do(t, "bench").ok(t, "sync", "commits", "catalog", "exit status is 0 when everything was measured")
	do(t, "bench", "nonsense").fails(t, 2, `no scenario "nonsense"`, "sync, commits, catalog")
	do(t, "bench", "nonsense", "--quick").fails(t, 2, `no scenario "nonsense"`, "sync, commits, catalog")
	do(t, "bench", "--quick").fails(t, 2, "--quick")
	do(t, "bench", "sync", "more").fails(t, 2, "usage: assetmatrix bench sync")
	do(t, "bench", "commits", "--dir", filepath.Join(t.TempDir(), "missing")).fails(t, 2, "--dir", "no such file")
	do(t, "bench", "commits", "--html", filepath.Join(t.TempDir(), "missing", "page.html")).fails(t, 2, "--html", "no such file")
	do(t, "bench", "commits", "--html", t.TempDir()).fails(t, 2, "--html", "no file that a page could replace")
	do(t, "bench", "commits", "--html", os.DevNull).fails(t, 2, "--html", "no file that a page could replace")
	do(t, "bench", "commits", "--fast").fails(t, 2, "--fast")
}

// What was asked for wrongly is said with what would be right, and nothing is left of it.
func TestBenchAskedWrongly(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil { // now nobody listens there
		t.Fatal(err)
	}
	dir := t.TempDir()
	refuses := func(args string, says ...string) {
		t.Helper()
		o := do(t, append([]string{"bench"}, append(strings.Fields(args), "--quick", "--dir", dir)...)...)
		for _, step := range []string{"reading pictures\n", "starting assetmatrix\n"} { // it may have got so far
			o.errs = strings.TrimPrefix(o.errs, step)
		}
		o.fails(t, 2, says...)
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("bench %s left behind: %v, %v", args, left, err)
		}
	}
	const base = "give one such as http://127.0.0.1:8080"
	refuses("hit --peer nonsense=http://127.0.0.1:1", `--peer: there is no grammar for a peer "nonsense"`, "imagor, imgproxy, nginx, thumbor, varnish, weserv")
	refuses("hit --peer imgproxy", `"imgproxy" is no peer`, "give NAME=BASEURL")
	refuses("render --peer imgproxy=ftp://x", "the peer imgproxy", `"ftp://x" is no base URL`, base)
	refuses("hit --peer nginx="+silent+" --peer nginx="+silent, "two peers nginx")
	refuses("burst --peer nginx="+silent, "nginx at "+silent+" is not reached", "start it, or leave it out")
	refuses("hit --target "+silent, "assetmatrix at "+silent+" is not reached", "start it, or leave it out")
	refuses("hit --target 127.0.0.1:8080", "--target: ", base)
	refuses("mixed --target "+silent+" --token-file /nowhere/at/all", "/nowhere/at/all")
	refuses("hit --origin nonsense", "give --origin a free address")
	refuses("hit --rate x", "--rate")
	refuses("hit --rate -5", "--rate is -5", "0.1 to 1,000,000")
	refuses("hit --target=", "--target is given, but empty")
	refuses("mixed --trace=", "--trace is given, but empty")
	refuses("hit --rate 0", "--rate is 0", "leave it out")
	refuses("hit --server http://127.0.0.1:9090", "--server is given without --target")
	refuses("burst --token-file /nowhere/at/all", "--token-file is given without --target")
	refuses("mixed --rate 5 --trace x", "--rate and --trace are given")
	refuses("overload --rate NaN", "--rate is NaN", "0.1 to")
	refuses("soak --lasts -1s", "--lasts is -1s", "give a time such as 10m")
	refuses("soak --lasts 5", "--lasts")
	refuses("soak --rate 5", "--rate")
	refuses("sync --peer nginx="+silent, "--peer")
	refuses("mixed --trace /nowhere/at/all", "--trace: open /nowhere/at/all", "make one with assetmatrix bench record")
	refuses("mixed --trace "+write(t, "day.trace", "nonsense\n"), "--trace: line 1 of ", "is no visit such as")
	refuses("mixed --trace "+write(t, "far.trace", `{"at_ms":9223372036854775807,"path":"/shop/w=40/a.jpg"}`), "--trace: line 1 of ", "within a century")
	refuses("mixed --trace "+write(t, "other.trace", `{"at_ms":0,"path":"/static/V1%20x/x.css"}`), "/static/V1%20x/x.css is no path of assetmatrix", "--target")
	text := filepath.Dir(write(t, "notes.txt", "hello"))
	refuses("hit --corpus "+t.TempDir(), "--corpus: there is no picture in ", "give a directory with JPEG")
	refuses("render --corpus /nowhere/at/all", "--corpus: there is no directory /nowhere/at/all")
	refuses("family --corpus "+text, "notes.txt is no picture (text/plain); take it out of the directory")
}

func TestBenchRecord(t *testing.T) {
	const line = `::1 - - [01/Mar/2026:10:00:01 +0000] "GET /shop/w=40/a.jpg HTTP/1.1" 200 1` + "\n"
	const visit = `{"at_ms":0,"path":"/shop/w=40/a.jpg"}` + "\n"
	log := write(t, "access.log", line+"nonsense\n")
	for _, o := range []outcome{do(t, "bench", "record", log), feed(t, line+"nonsense\n", "bench", "record")} {
		if o.status != 0 || o.out != visit || o.errs != "1 requests of 2 lines\n" {
			t.Errorf("%+v", o)
		}
	}
	if o := do(t, "bench", "record", log, log); o.status != 0 || strings.Count(o.out, "\n") != 2 {
		t.Errorf("%+v", o)
	}
	do(t, "bench", "record", log, "/nowhere/at/all").fails(t, 2, "open /nowhere/at/all")
	do(t, "bench", "record", write(t, "notes.txt", "hello\n")).fails(t, 2, "none of 1 lines is a GET that was answered", "Common Log Format")
	do(t, "bench", "record").fails(t, 2, "none of 0 lines")
	do(t, "bench", "record", t.TempDir()).fails(t, 2, "is a directory; give the access logs in it")
	do(t, "bench", "record", write(t, "long.log", strings.Repeat("x", 2<<20))).fails(t, 2, "line 1 is longer than 1 MiB")
}

// A bench that is interrupted says so and leaves nothing behind.
func TestBenchInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out, errs bytes.Buffer
	status := run(ctx, []string{"bench", "sync", "--quick", "--json", "--dir", dir, "--html", filepath.Join(dir, "page.html")}, strings.NewReader(""), &out, &errs)
	if status != 1 || out.Len() > 0 || errs.String() != "assetmatrix: bench sync: it was interrupted\n" {
		t.Errorf("exit %d: %q, %q", status, out.String(), errs.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A page takes the place of the one before, and only whole.
func TestBenchPage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "page.html")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ writes, has string }{{"", "before"}, {"sync", "<h1>sync</h1>"}, {"commits", "<h1>commits</h1>"}} {
		p, err := newPage(path)
		if err != nil {
			t.Fatal(err)
		}
		if c.writes != "" {
			err = p.write(bench.Report{Scenario: c.writes})
		}
		p.discard()
		if text, read := os.ReadFile(path); err != nil || read != nil || !strings.Contains(string(text), c.has) {
			t.Errorf("%v, %v: %s", err, read, text)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What a program reads is nothing but JSON; who was left out is said beside it.
func TestBenchPrints(t *testing.T) {
	report := bench.Report{Scenario: "hit", Notes: []string{"imgproxy is not counted: it is wrong"}}
	for asJSON, want := range map[bool]struct{ out, errs string }{
		true:  {`{` + "\n" + `  "scenario": "hit"`, "imgproxy is not counted: it is wrong\n"},
		false: {"\nhit on ", ""},
	} {
		var out, errs bytes.Buffer
		if err := printReport(&out, &errs, report, asJSON); err != nil || !strings.HasPrefix(out.String(), want.out) || errs.String() != want.errs {
			t.Errorf("JSON %v: %v, %q, %q", asJSON, err, out.String(), errs.String())
		}
	}
}

// Where nobody looks at a bar, each step is a line.
func TestBenchSteps(t *testing.T) {
	var errs bytes.Buffer
	s := newSteps(&errs)
	for _, p := range []bench.Progress{{Step: "one", Total: 2}, {Step: "one", Done: 1, Total: 2}, {Step: "two"}, {Step: "one"}} {
		s.show(p)
	}
	s.end()
	if errs.String() != "one\ntwo\none\n" {
		t.Errorf("%q", errs.String())
	}
}
