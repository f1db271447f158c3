package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
)

// album writes the files of a corpus into a directory.
func album(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadPictures(t *testing.T) {
	drawn, err := corpus.Set(t.Context(), true, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	contents, want := map[string][]byte{".hidden.txt": {1}, ".git/config": {1}, "a": drawn[0].Data}, map[string]corpus.File{"a": drawn[0]}
	for _, f := range drawn {
		contents["holiday/"+f.Name+".bin"] = f.Data // its name decides nothing
		want["holiday/"+f.Name+".bin"] = f
	}
	dir := album(t, contents)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, dir + "/", link} {
		files, err := loadPictures(t.Context(), dir)
		if err != nil || len(files) != len(want) {
			t.Fatalf("%d files of %d, %v", len(files), len(want), err)
		}
		last := ""
		for _, f := range files {
			w := want[f.Name]
			if f.Type != w.Type || f.Width != w.Width || f.Height != w.Height || string(f.Data) != string(w.Data) {
				t.Errorf("%s: %s, %d × %d, want %s, %d × %d", f.Name, f.Type, f.Width, f.Height, w.Type, w.Width, w.Height)
			}
			if f.Name <= last {
				t.Errorf("%q comes after %q", f.Name, last)
			}
			last = f.Name
		}
	}
}

func TestLoadPicturesExplains(t *testing.T) {
	jpg, err := corpus.JPEG(corpus.Landscape(1, 64, 48), 80)
	if err != nil {
		t.Fatal(err)
	}
	explains := func(dir string, words ...string) {
		t.Helper()
		_, err := loadPictures(t.Context(), dir)
		if err == nil {
			t.Errorf("no error, want %q", words)
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q does not say %q", err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q has more than a line", err)
		}
	}
	explains("/nowhere/at/all", "there is no directory /nowhere/at/all", "give one with JPEG")
	explains(t.TempDir(), "there is no picture in /", "give a directory with JPEG, PNG, WebP, AVIF, GIF or PDF files")
	explains(album(t, map[string][]byte{".hidden.jpg": jpg}), "there is no picture in /")
	explains(filepath.Join(album(t, map[string][]byte{"a.jpg": jpg}), "a.jpg"), "a.jpg is a file; give the directory")
	explains(album(t, map[string][]byte{"a.jpg": jpg, "x.jpg": []byte("hello")}), "x.jpg is no picture (text/plain); take it out")
	explains(album(t, map[string][]byte{"empty.jpg": nil}), "empty.jpg is no picture (it is empty)")
	explains(album(t, map[string][]byte{"sub/cut.jpg": jpg[:40]}), "sub/cut.jpg: the image/jpeg is damaged or incomplete", "take it out")
	explains(album(t, map[string][]byte{"half.jpg": jpg[:len(jpg)/2]}), "half.jpg: libvips cannot read the image/jpeg", "repair it or take it out")
	explains(album(t, map[string][]byte{"a\nb.jpg": jpg}), `"a\nb.jpg" cannot be an asset's name`, "rename the file")
	explains(album(t, map[string][]byte{`a\b.jpg`: jpg}), `"a\\b.jpg" cannot be an asset's name`, "rename the file")
	scan := bytes.Index(jpg, []byte{0xff, 0xda}) // libvips wants to see it, our own reader ends before
	explains(album(t, map[string][]byte{"cut.jpg": jpg[:scan]}), "cut.jpg: libvips cannot read the image/jpeg", "take it out")
}
