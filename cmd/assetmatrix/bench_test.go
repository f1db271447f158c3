package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/bench"
)

func TestBenchUsage(t *testing.T) {
	do(t, "bench").ok(t, "sync", "commits", "catalog", "exit status is 0 when everything was measured")
	do(t, "bench", "nonsense").fails(t, 2, `no scenario "nonsense"`, "sync, commits, catalog")
	do(t, "bench", "sync", "more").fails(t, 2, "usage: assetmatrix bench sync")
	do(t, "bench", "commits", "--dir", filepath.Join(t.TempDir(), "missing")).fails(t, 2, "--dir", "no such file")
	do(t, "bench", "commits", "--html", filepath.Join(t.TempDir(), "missing", "page.html")).fails(t, 2, "--html", "no such file")
	do(t, "bench", "commits", "--html", t.TempDir()).fails(t, 2, "--html", "no file that a page could replace")
	do(t, "bench", "commits", "--html", os.DevNull).fails(t, 2, "--html", "no file that a page could replace")
	do(t, "bench", "commits", "--fast").fails(t, 2, "--fast")
}

// A bench that is interrupted says so and leaves nothing behind.
func TestBenchInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out, errs bytes.Buffer
	status := run(ctx, []string{"bench", "sync", "--quick", "--json", "--dir", dir, "--html", filepath.Join(dir, "page.html")}, strings.NewReader(""), &out, &errs)
	if status != 1 || out.Len() > 0 || !strings.Contains(errs.String(), "bench sync") {
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
