package origin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// listed returns what List finds, a line for each, sorted.
func listed(t *testing.T, p *Providers) (lines []string) {
	t.Helper()
	must(t, p.List(t.Context(), func(s Stored) error {
		lines = append(lines, fmt.Sprint(s.Provider, " ", s.Digest, " ", s.Size, " ", s.Stray))
		return nil
	}))
	slices.Sort(lines)
	return lines
}

func TestList(t *testing.T) {
	for _, url := range []string{"file://" + t.TempDir(), "mem://"} {
		p, err := Open(t.Context(), []Config{{Name: "a", URL: url}, {Name: "b", URL: "mem://"}}, Events{})
		must(t, err)
		if got := listed(t, p); len(got) > 0 {
			t.Errorf("%s: an empty bucket has %q", url, got)
		}
		var want []string
		for i := range 300 { // of 256 shards
			o := original(i + 1)
			must(t, p.list[0].bucket.Put(t.Context(), o))
			want = append(want, fmt.Sprint("a ", o.Key.Original, " ", o.Size, " false"))
		}
		o := original(5)
		must(t, p.list[1].bucket.Put(t.Context(), o))
		want = append(want, fmt.Sprint("b ", o.Key.Original, " 5 false"))
		slices.Sort(want)
		if got := listed(t, p); !slices.Equal(got, want) {
			t.Errorf("%s: %d are listed, %d are there", url, len(got), len(want))
		}
		stop := errors.New("enough")
		n := 0
		if err := p.List(t.Context(), func(Stored) error { n++; return stop }); err != stop || n != 1 {
			t.Errorf("List went on %d times, and returned %v", n, err)
		}
		must(t, p.Close())
	}
}

func TestListStrays(t *testing.T) {
	p, a, _, _ := openTwo(t)
	o := original(100)
	must(t, p.list[0].bucket.Put(t.Context(), o))
	old, grown := pathOf(a, o.Key)+".18ab.tmp", pathOf(a, o.Key)+".18ac.tmp"
	for _, name := range []string{old, grown, pathOf(a, o.Key) + ".attrs", filepath.Join(filepath.Dir(old), "notes.tmp"), filepath.Join(a, "sha256", "x")} {
		must(t, os.WriteFile(name, []byte("torn"), 0o644))
	}
	var strays []Stored
	must(t, p.List(t.Context(), func(s Stored) error {
		if s.Stray {
			strays = append(strays, s)
		} else if s.Digest != o.Key.Original || s.Size != 100 {
			t.Errorf("listed is %+v", s)
		}
		return nil
	}))
	if len(strays) != 2 || strays[0].Digest != o.Key.Original || strays[0].Size != 4 || time.Since(strays[0].Modified) > time.Minute {
		t.Fatalf("strays are %+v", strays)
	}
	later := time.Now().Add(time.Second)
	must(t, os.Chtimes(grown, later, later))
	for _, s := range strays {
		must(t, p.RemoveStray(t.Context(), s))
		must(t, p.RemoveStray(t.Context(), s))
	}
	if got := files(t, a); len(got) != 5 || slices.Contains(got, filepath.Base(old)) {
		t.Errorf("files are %q", got)
	}
	if _, err := os.Stat(grown); err != nil {
		t.Error("a stray that its writer goes on with was removed")
	}
	wantError(t, p.RemoveStray(t.Context(), Stored{Digest: o.Key.Original, Provider: "a"}), asset.ErrInvalid)
	wantError(t, p.RemoveStray(t.Context(), Stored{Stray: true, Provider: "nobody"}), asset.ErrInvalid)
}

// TestListOfWhatIsAway: a bucket that is away is not an empty one.
func TestListOfWhatIsAway(t *testing.T) {
	p, a, _, _ := openTwo(t)
	o, other := original(10), original(20)
	must(t, p.list[0].bucket.Put(t.Context(), o))
	must(t, p.list[1].bucket.Put(t.Context(), other))
	must(t, os.Rename(a, a+".away"))
	n := 0
	wantError(t, p.List(t.Context(), func(s Stored) error { n++; return nil }), asset.ErrUnavailable)
	if n != 1 {
		t.Errorf("%d were listed at the other provider", n)
	}
	_, err := p.Stat(t.Context(), o.Key)
	wantError(t, err, asset.ErrUnavailable)
	must(t, os.Rename(a+".away", a))

	must(t, os.Chmod(filepath.Join(a, "sha256"), 0))
	defer func() { must(t, os.Chmod(filepath.Join(a, "sha256"), 0o755)) }()
	if os.Getuid() != 0 { // to whom nothing is closed
		wantError(t, p.List(t.Context(), func(s Stored) error { return nil }), asset.ErrUnavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, p.List(ctx, func(s Stored) error { return nil }), context.Canceled)
}

func TestStat(t *testing.T) {
	p, _, _, _ := openTwo(t)
	o := original(100)
	if all, err := p.Stat(t.Context(), o.Key); err != nil || len(all) > 0 {
		t.Errorf("of nothing there is %+v, %v", all, err)
	}
	must(t, p.list[0].bucket.Put(t.Context(), o))
	must(t, p.list[1].bucket.Put(t.Context(), o))
	all, err := p.Stat(t.Context(), o.Key)
	must(t, err)
	if len(all) != 2 || all[0].Provider != "a" || all[1].Provider != "b" || all[1].Size != 100 || all[1].Digest != o.Key.Original || time.Since(all[0].Modified) > time.Minute {
		t.Errorf("there is %+v", all)
	}
	_, err = p.Stat(t.Context(), asset.Key{Variant: asset.Variant{Width: 1}})
	wantError(t, err, asset.ErrInvalid)
}

// TestPutRefreshes: what is put again counts as modified now, so that nobody takes it for garbage.
func TestPutRefreshes(t *testing.T) {
	dir := t.TempDir()
	p, err := Open(t.Context(), []Config{{Name: "a", URL: "file://" + dir}}, Events{})
	must(t, err)
	o := original(100)
	_, err = p.Put(t.Context(), o)
	must(t, err)
	old := time.Now().Add(-48 * time.Hour)
	must(t, os.Chtimes(pathOf(dir, o.Key), old, old))
	_, err = p.Put(t.Context(), o)
	must(t, err)
	if all, err := p.Stat(t.Context(), o.Key); err != nil || len(all) != 1 || time.Since(all[0].Modified) > time.Hour {
		t.Errorf("there is %+v, %v", all, err)
	}

	m, err := Open(t.Context(), []Config{{Name: "m", URL: "mem://"}}, Events{})
	must(t, err)
	var modified []time.Time
	for range 2 {
		_, err = m.Put(t.Context(), o)
		must(t, err)
		all, err := m.Stat(t.Context(), o.Key)
		must(t, err)
		modified = append(modified, all[0].Modified)
	}
	if !modified[1].After(modified[0]) {
		t.Errorf("modified at %v", modified)
	}
}
