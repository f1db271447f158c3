package bench

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

var tinySoak = soakSize{daySize: tinyDay, lasts: 0, part: 250 * time.Millisecond} // each fault once

func TestSoak(t *testing.T) {
	r := testRun(t)
	if err := soak(t.Context(), r, tinySoak); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	for name, want := range map[string]float64{"soak_torn": 0, "soak_lost": 0} {
		if got := r.report.value(t, name); got != want {
			t.Errorf("%s is %v: %v", name, got, r.report.Tables)
		}
	}
	for _, name := range []string{"soak_requests", "soak_writes", "soak_rss_mb", "soak_goroutines", "soak_descriptors"} {
		if r.report.value(t, name) <= 0 {
			t.Errorf("%s is %v", name, r.report.value(t, name))
		}
	}
	r.report.value(t, "soak_failures")
	struck := map[string]string{}
	for _, row := range r.report.Tables[0].Rows {
		struck[row[0]] = row[1]
	}
	for _, f := range faults {
		if struck[f.name] == "0" || struck[f.name] == "" {
			t.Errorf("%s: %q times", f.name, struck[f.name])
		}
	}
	if struck["nothing"] != "5" || len(r.report.Plots) != 3 {
		t.Errorf("%v", struck)
	}
	ended(t)
}

// The same ETag with other bytes is torn, and with the same it is not.
func TestTorn(t *testing.T) {
	d := &day{on: new(subject), size: tinyDay, products: []string{"a"}, random: rand.New(rand.NewPCG(1, 1))}
	for i := range d.popular {
		d.popular[i] = rand.NewZipf(d.random, 2, 1, 0) // always the first
	}
	width, _ := sizeOf(0, d.size.pixels)
	width = min(width, 320)
	width2, _ := sizeOf(d.size.originals, d.size.pixels)
	d.marks = map[uint64]shown{xxhash.Sum64String("x"): {0, width}, xxhash.Sum64String("y"): {d.size.originals, min(width2, 320)}, xxhash.Sum64String("z"): {1, width}}
	s := &soaking{day: d, seen: map[string]uint64{}}
	next := s.any()
	for strings.Contains(next.url, "q=") { // a rare one
		next = s.any()
	}
	judge := next.body
	if err := judge("a", []byte("z")); err == nil || !strings.Contains(err.Error(), "it shows picture 1, not [0 ") {
		t.Errorf("another picture is none: %v", err)
	}
	if len(s.torn) != 1 {
		t.Errorf("torn %v", s.torn)
	}
	s.torn = nil
	for _, c := range []struct {
		etag, body string
		torn       int
	}{{"a", "x", 0}, {"a", "x", 0}, {"b", "y", 0}, {"a", "y", 1}, {"b", "y", 1}} {
		err := judge(c.etag, []byte(c.body))
		if len(s.torn) != c.torn || (err != nil) != (c.etag == "a" && c.body == "y") {
			t.Errorf("%+v: %v, %v", c, s.torn, err)
		}
	}
}

func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for before, after := range map[string]string{"abc": "a\x9dc", "": ""} {
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := damage(path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != after {
			t.Errorf("%q, %v, want %q", got, err, after)
		}
	}
	if err := damage(path + "-gone"); err != nil {
		t.Error(err)
	}
}

func TestMergeDir(t *testing.T) {
	from, to := album(t, map[string][]byte{"a/b/new": {1}, "top": {2}}), album(t, map[string][]byte{"a/old": {3}})
	if err := mergeDir(from, to); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b/new", "top", "a/old"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(from); !os.IsNotExist(err) {
		t.Errorf("%s is there: %v", from, err)
	}
	if err := mergeDir(from, to); err != nil {
		t.Errorf("what is not there cannot be merged: %v", err)
	}
}

// What has grown is what came behind the last start, without the part that followed it.
func TestSoakEnds(t *testing.T) {
	var s soaking
	for i, since := range []int{1, 2, 0, 1, 2, 3, 4, 5, 6} {
		s.parts = append(s.parts, soakPart{rss: int64(i), sinceStart: since})
	}
	first, last := s.ends()
	if len(first) != 2 || first[0].rss != 3 || len(last) != 2 || last[1].rss != 8 {
		t.Errorf("%v, %v", first, last)
	}
	s.parts = s.parts[:1]
	if first, last := s.ends(); len(first) != 1 || len(last) != 1 {
		t.Errorf("%v, %v", first, last)
	}
}
