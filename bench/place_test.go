package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What a killed run has left is taken away by the next; what is a running one's, or nobody knows whose, is not.
func TestPlaceSweeps(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-time.Hour)
	make := func(name string, at time.Time) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(path, "server-0"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	killed, young, other := make(placePrefix+"1", long), make(placePrefix+"2", time.Now()), make("data", long)
	running, err := newPlace(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(running.path, long, long); err != nil {
		t.Fatal(err)
	}
	next, err := newPlace(dir)
	if err != nil {
		t.Fatal(err)
	}
	there := func(path string, want bool) {
		t.Helper()
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", path, err, want)
		}
	}
	there(killed, false)
	there(young, true)
	there(other, true)
	there(running.path, true)
	for _, p := range []*place{running, next} {
		if err := p.remove(); err != nil {
			t.Error(err)
		}
		there(p.path, false)
	}
}

func TestPlaceRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, "/proc", filepath.Join(file, "below")} {
		_, err := newPlace(dir)
		asked(t, err, "--dir: the data finds no place there", dir, "give a directory on a disk")
	}
}
