package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// folded returns v on a base of its own, with nothing beside it.
func folded(t testing.TB, v *View) *View {
	t.Helper()
	return newView(opened1(t, writtenBase(t, v)))
}

// writtenBase returns the path of v as a base.
func writtenBase(t testing.TB, v *View) string {
	t.Helper()
	path := directory(t.TempDir()).base(v.revision)
	if err := writeBase(t.Context(), path, v, ""); err != nil {
		t.Fatal(err)
	}
	return path
}

func opened1(t testing.TB, path string) *base {
	t.Helper()
	b, err := openBase(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A universe is all that can be in a small matrix.
type universe struct {
	products, names, ids, tags []string
	originals                  []asset.Digest
	rnd                        *rand.Rand
}

func newUniverse(seed uint64) *universe {
	u := &universe{
		products: []string{"blog", "shop", "shop-2"}, tags: []string{"sale", "summer", "x"},
		names: []string{strings.Repeat("é", 256)}, ids: []string{"a", strings.Repeat("long-", 12), "0190C5A8-0000-7000-8000-000000000001"},
		rnd: rand.New(rand.NewPCG(seed, 1)),
	}
	for i := range 40 {
		u.names = append(u.names, fmt.Sprintf("%c/%d.jpg", 'a'+i%3, i))
	}
	for i := range 12 {
		u.ids = append(u.ids, fmt.Sprintf("0190c5a8-0000-7000-8000-%012x", i))
		u.originals = append(u.originals, asset.Digest{byte(i), 31: 7})
	}
	return u
}

func pick[T any](u *universe, of []T) T { return of[u.rnd.IntN(len(of))] }

func (u *universe) time() time.Time {
	return [...]time.Time{
		{}, time.Date(1500, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Unix(u.rnd.Int64N(2e9), u.rnd.Int64N(1e9)).UTC(), time.Unix(u.rnd.Int64N(2e9), 0).UTC(), time.Unix(u.rnd.Int64N(2e9), 5).UTC(),
	}[u.rnd.IntN(6)]
}

func (u *universe) version(number int) asset.Version {
	v := asset.Version{
		Number: number, Digest: pick(u, u.originals), Size: u.rnd.Int64(), MediaType: pick(u, []string{"image/jpeg", "image/png", "", "text/plain; charset=utf-8"}), Created: u.time(),
		Providers: pick(u, [][]string{nil, {"local"}, {"local", "s3"}}),
	}
	if u.rnd.IntN(3) > 0 {
		v.Picture = &asset.Picture{
			Width: u.rnd.IntN(1 << 31), Height: 1 + u.rnd.IntN(9000), Pages: 1 + u.rnd.IntN(3), Orientation: u.rnd.IntN(9), Animated: u.rnd.IntN(2) == 0, Alpha: u.rnd.IntN(2) == 0, Drawn: u.rnd.IntN(2) == 0,
			ThumbHash: pick(u, []string{"", "1QcSHQRnh493V4dIh4eXh1h4kJUI", "not base64", "1QcSHQRnh4=", "AA=="}), Dominant: pick(u, []string{"", "#a0b1c2", "#A0B1C2", "red", "#"}),
		}
	}
	return v
}

// mutation returns something that may be allowed on v.
func (u *universe) mutation(v *View) Mutation {
	id, product, name := pick(u, u.ids), pick(u, u.products), pick(u, u.names)
	switch u.rnd.IntN(18) {
	case 0:
		return Mutation{PutProduct: &asset.Product{Name: product, Presets: map[string]string{"thumb": "w=100"}, Created: u.time()}}
	case 1:
		return Mutation{DeleteProduct: product}
	case 2, 3, 4:
		a := &asset.Asset{ID: id, Owner: product, Status: asset.Active, Current: 1, Versions: []asset.Version{u.version(1)}, Created: u.time(), Updated: u.time()}
		if u.rnd.IntN(2) == 0 {
			a.Tags = slices.Clone(u.tags[:u.rnd.IntN(3)])
		}
		if u.rnd.IntN(3) == 0 {
			a.Focal = &asset.Point{X: u.rnd.Float64(), Y: u.rnd.Float64()}
		}
		if u.rnd.IntN(5) == 0 {
			a.Status, a.Current, a.Versions = asset.Pending, 0, nil
		}
		return Mutation{PutAsset: a}
	case 5, 6:
		number := 1
		if a, ok := v.Asset(id); ok {
			number = len(a.Versions) + 1
		}
		return Mutation{AddVersion: &AddedVersion{Asset: id, Version: u.version(number)}}
	case 7:
		return Mutation{ChangeAsset: &AssetChange{Asset: id, Status: pick(u, []asset.Status{"", "", asset.Archived}), At: u.time()}}
	case 8:
		tags := slices.Clone(u.tags[u.rnd.IntN(3):])
		return Mutation{ChangeAsset: &AssetChange{Asset: id, Current: u.rnd.IntN(3), Tags: &tags, NoFocal: true, At: u.time()}}
	case 9:
		return Mutation{DeleteAsset: id}
	case 10, 11, 12:
		l := &asset.Link{Product: product, Name: name, Asset: id, Pin: max(0, u.rnd.IntN(6)-3), Created: u.time()}
		if old, ok := v.Link(product, name); ok {
			l.Asset, l.Updated = old.Asset, u.time()
		}
		return Mutation{PutLink: l}
	case 13:
		return deleteLink(product, name)
	case 14:
		return Mutation{Purge: &Purge{Product: pick(u, []string{"", product}), Tag: pick(u, u.tags)}}
	case 15:
		return Mutation{Purge: pick(u, []*Purge{{Product: product}, {Product: product, Name: name}, {Asset: id}})}
	case 16:
		return Mutation{CondemnOriginal: &u.originals[u.rnd.IntN(len(u.originals))]}
	default:
		return Mutation{ForgetOriginal: &u.originals[u.rnd.IntN(len(u.originals))]}
	}
}

// stepped returns what the mutation makes of v as a message would.
func stepped(v *View, m Mutation, at time.Time) (*View, error) {
	made := v.fork()
	made.committing = at
	if _, err := made.run([]Mutation{m}); err != nil {
		return nil, err
	}
	made.revision++
	made.hash = asset.Digest{byte(made.revision), byte(made.revision >> 8)}
	return made, nil
}

// answers are those of all methods of a view to all questions of a universe. What is an error, and so why an answer is
// not there, is not among them.
func (u *universe) answers(v *View) map[string]string {
	all := map[string]string{}
	say := func(question string, answer ...any) {
		for i, a := range answer {
			if text, err := json.Marshal(a); err == nil {
				answer[i] = string(text)
			}
		}
		all[question] = fmt.Sprint(answer...)
	}
	say("rest", v.rest())
	say("revision", v.Revision(), v.epoch, v.hash)
	for p := range v.Products() {
		say("products "+p.Name, p)
	}
	for _, p := range u.products {
		product, ok := v.Product(p)
		owned, _ := v.owned.Get(p)
		linked, _ := v.linked.Get(p)
		say("product "+p, product, ok, owned, linked)
		for _, n := range u.names {
			l, a, ok := v.Lookup(p, n)
			say("lookup "+p+" "+n, l, a, ok)
			l, ok = v.Link(p, n)
			say("link "+p+" "+n, l, ok)
			for number := range 4 {
				e, ok := v.Find(p, n, number)
				say(fmt.Sprint("find ", p, " ", n, " ", number), ok, entryText(e, ok))
			}
		}
		for _, q := range []struct {
			prefix, after string
			limit         int
		}{{"", "", 1000}, {"", "", 3}, {"a/", "", 1000}, {"b/", "b/1", 4}, {"b/", "a/9", 2}, {"a/", "b/1.jpg", 5}, {"", "b/22.jpg", 7}, {"c", "c/5.jpg", 1}, {"zz", "", 2}, {"", "", 0}} {
			say(fmt.Sprint("links ", p, q), v.Links(p, q.prefix, q.after, q.limit))
		}
	}
	for _, id := range u.ids {
		a, ok := v.Asset(id)
		say("asset "+id, a, ok)
		say("links of "+id, v.LinksOf(id))
	}
	for _, d := range u.originals {
		version, ok := v.Original(d)
		say("original "+d.String(), ok, ok && version.Digest == d)
		say("references "+d.String(), v.References(d))
		o, ok := v.Orphan(d)
		say("orphan "+d.String(), o, ok)
	}
	for o := range v.Orphans() {
		say("orphans "+o.Digest.String(), o)
	}
	return all
}

// entryText spells an entry and what its record adds.
func entryText(e asset.Entry, ok bool) string {
	if !ok {
		return ""
	}
	id, tags := e.Record.AppendID(nil, e.At), e.Record.AppendTags(nil, e.At, " ")
	whole, _ := json.Marshal(e.Record.Asset(e.At))
	e.Record, e.At = nil, 0
	fixed, _ := json.Marshal(e)
	return fmt.Sprintf("%s id %s tags%s of %s", fixed, id, tags, whole)
}

func differences(got, want map[string]string) (all []string) {
	for question := range want {
		if got[question] != want[question] {
			all = append(all, fmt.Sprintf("%s: %s, want %s", question, got[question], want[question]))
		}
	}
	for question := range got {
		if _, ok := want[question]; !ok {
			all = append(all, question+": "+got[question]+", want nothing")
		}
	}
	return all
}

// A view on a base answers like one that is all in memory, whatever the history, and however often it was folded.
func TestBaseAndMemoryAgree(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			u := newUniverse(seed)
			plain, v := new(View), new(View)
			folds, applied := 0, 0
			var before []*View
			var said []map[string]string
			for i := range 700 {
				m, at := u.mutation(plain), time.Unix(int64(i), 0).UTC()
				nextPlain, err1 := stepped(plain, m, at)
				next, err2 := stepped(v, m, at)
				if (err1 == nil) != (err2 == nil) || err1 != nil && err1.Error() != err2.Error() {
					t.Fatalf("step %d: in memory %v, on a base %v", i, err1, err2)
				}
				if err1 != nil {
					continue
				}
				plain, v = nextPlain, next
				if applied++; applied%8 == 0 || v.base != nil && v.changes() < 2 {
					if d := differences(u.answers(v), u.answers(plain)); d != nil {
						t.Fatalf("step %d, %d folds: %d differences: %s", i, folds, len(d), strings.Join(d[:min(3, len(d))], "\n"))
					}
				}
				if applied%20 == 0 {
					before, said = append(before, v), append(said, u.answers(v))
				}
				if u.rnd.IntN(15) == 0 {
					v = folded(t, v)
					folds++
					if err := v.base.verify(t.Context()); err != nil || v.changes() != 0 {
						t.Fatal(err, v.changes())
					}
				}
			}
			for i := range before {
				if d := differences(u.answers(before[i]), said[i]); d != nil {
					t.Fatalf("a view changed: %s", d[0])
				}
			}
			if folds < 5 || plain.assets.Len() == 0 || plain.heldLinks == 0 {
				t.Fatal("the history is too short to prove anything", folds, plain.assets.Len(), plain.heldLinks)
			}
		})
	}
}

// smallMatrix has something of everything.
func smallMatrix(t testing.TB) (*universe, *View) {
	t.Helper()
	u := newUniverse(3)
	v := new(View)
	for i := range 400 {
		if next, err := stepped(v, u.mutation(v), time.Unix(int64(i), 0).UTC()); err == nil {
			v = next
		}
	}
	if v.assets.Len() < 5 || v.heldLinks < 20 || v.tags.Len() == 0 || v.orphans.Len() == 0 {
		t.Fatal("the matrix has too little", v.assets.Len(), v.heldLinks, v.tags.Len(), v.orphans.Len())
	}
	return u, v
}

func TestBaseTruncated(t *testing.T) {
	_, v := smallMatrix(t)
	path := writtenBase(t, v)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := info.Size() - 1; size >= 0; size-- {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if _, err := openBase(path); !errors.Is(err, asset.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v", size, info.Size(), err)
		}
	}
}

func TestBaseThatIsNone(t *testing.T) {
	dir := t.TempDir()
	if _, err := openBase(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	path := filepath.Join(dir, "zeros")
	if err := os.WriteFile(path, make([]byte, 3*headBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openBase(path); !errors.Is(err, asset.ErrCorrupt) {
		t.Error(err)
	}
	if _, err := openBase(dir); err == nil {
		t.Error("a directory is a base")
	}
}

// However a bit is flipped: the base is not opened, or its view says that it is damaged, or answers right. verify finds
// every one.
func TestBaseFlipped(t *testing.T) {
	u, v := smallMatrix(t)
	for i := range 70 { // so that not everything is in one block
		a := putAsset(fmt.Sprint("more", i), byte(i))
		v.apply(&a)
	}
	want := u.answers(v)
	data, err := os.ReadFile(writtenBase(t, v))
	if err != nil {
		t.Fatal(err)
	}
	rejected, damaged, right := 0, 0, 0
	for i := range data {
		bit := byte(1) << u.rnd.IntN(8)
		data[i] ^= bit
		b, err := newBase("flipped", data, bytes.NewReader(data))
		switch {
		case err != nil:
			rejected++
		case b.verify(t.Context()) == nil:
			t.Fatalf("byte %d: not found", i)
		case i%61 == 0: // each of these takes its time
			b, err := newBase("flipped", data, bytes.NewReader(data)) // nothing is verified yet
			if err != nil {
				t.Fatal(err)
			}
			flipped := newView(b)
			d := differences(u.answers(flipped), want)
			switch {
			case flipped.Err() != nil:
				damaged++
			case d == nil:
				right++
			default:
				t.Fatalf("byte %d: %s", i, d[0])
			}
		}
		data[i] ^= bit
	}
	if rejected == 0 || damaged == 0 {
		t.Error(rejected, damaged, right, len(data))
	}
}

// A view whose base is damaged says so, and what was read before is what it was.
func TestBaseDamagedWhileOpen(t *testing.T) {
	u, v := smallMatrix(t)
	path := writtenBase(t, v)
	b := opened1(t, path)
	w := newView(b)
	if w.Err() != nil {
		t.Fatal(w.Err())
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(make([]byte, 64), int64(b.recordsEnd)-64); err != nil {
		t.Fatal(err)
	}
	if err := b.verify(t.Context()); !errors.Is(err, asset.ErrCorrupt) || !errors.Is(err, asset.ErrUnavailable) {
		t.Fatal(err)
	}
	select {
	case <-b.damaged():
	default:
		t.Error("damaged is not closed")
	}
	if err := writeBase(t.Context(), path+"-2", w, ""); !errors.Is(err, asset.ErrCorrupt) {
		t.Error("a damaged view was folded:", err)
	}
	if left, _ := filepath.Glob(path + "-2*"); left != nil {
		t.Error("left:", left)
	}
	if err := w.fork().Err(); err == nil {
		t.Error("a view made of a damaged one is whole")
	}
	_ = u
}

func TestBaseCanceled(t *testing.T) {
	_, v := smallMatrix(t)
	path := writtenBase(t, v)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := writeBase(ctx, path+"-2", v, ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Error("left:", left)
	}
	if err := opened1(t, path).verify(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := writeBase(t.Context(), filepath.Join(path, "no", "directory"), v, ""); err == nil {
		t.Error("written to nowhere")
	}
}

func TestBaseOfAnotherEpoch(t *testing.T) {
	_, v := smallMatrix(t)
	v.epoch = "old"
	path := directory(t.TempDir()).base(1)
	for epoch, want := range map[string]string{"": "old", "new": "new"} {
		if err := writeBase(t.Context(), path, v, epoch); err != nil {
			t.Fatal(err)
		}
		if w := newView(opened1(t, path)); w.epoch != want || w.revision != v.revision || w.hash != v.hash || !w.committing.Equal(v.committing) {
			t.Error(w.epoch, w.revision, w.hash, w.committing)
		}
	}
	if err := writeBase(t.Context(), path, v, strings.Repeat("x", maxEpochBytes+1)); !errors.Is(err, asset.ErrInvalid) {
		t.Error(err)
	}
}

// The empty matrix is a base as well.
func TestBaseOfNothing(t *testing.T) {
	u := newUniverse(1)
	v := folded(t, new(View))
	if d := differences(u.answers(v), u.answers(new(View))); d != nil {
		t.Error(d)
	}
}

func TestImport(t *testing.T) {
	product, a, b := putProduct("shop"), putAsset("a", 1), putAsset("b", 1)
	for name, c := range map[string]struct {
		records []Mutation
		ok      bool
	}{
		"pairs":            {[]Mutation{product, a, putLink("shop", "x", "a"), b, putLink("shop", "y", "b")}, true},
		"shared":           {[]Mutation{product, a, putLink("shop", "x", "a"), b, putLink("shop", "y", "b"), putLink("shop", "z", "a")}, true},
		"assets first":     {[]Mutation{product, a, b, putLink("shop", "x", "a"), putLink("shop", "y", "b")}, true},
		"without link":     {[]Mutation{product, a, b}, true},
		"not in order":     {[]Mutation{product, a, putLink("shop", "y", "a"), putLink("shop", "x", "a")}, false},
		"the same link":    {[]Mutation{product, a, putLink("shop", "y", "a"), putLink("shop", "y", "a")}, false},
		"the same asset":   {[]Mutation{product, a, putLink("shop", "y", "a"), a}, false},
		"the same product": {[]Mutation{product, product}, false},
		"no product":       {[]Mutation{a}, false},
		"link of nobody":   {[]Mutation{product, a, putLink("blog", "y", "a")}, false},
		"link to nothing":  {[]Mutation{product, a, putLink("shop", "y", "b")}, false},
		"no record":        {[]Mutation{product, deleteLink("shop", "y")}, false},
		"no status":        {[]Mutation{product, with(putAsset("a", 1), func(a *asset.Asset) { a.Status = "LOST" })}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, m := t.TempDir(), Manifest{Revision: 7, Epoch: "e", Hash: asset.Digest{1}}
			err := Import(t.Context(), dir, m, slices.Values(c.records))
			if !c.ok {
				if left, _ := filepath.Glob(filepath.Join(dir, "*")); err == nil || left != nil {
					t.Fatal(err, left)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			u := newUniverse(1)
			u.ids, u.names, u.originals = []string{"a", "b"}, []string{"x", "y", "z"}, []asset.Digest{{1}}
			want := made(t, c.records...)
			want.revision, want.epoch, want.hash = m.Revision, m.Epoch, m.Hash
			if d := differences(u.answers(newView(opened1(t, directory(dir).base(7)))), u.answers(want)); d != nil {
				t.Fatal(strings.Join(d, "\n"))
			}
		})
	}
}

// A version's original may be used by more versions, and an asset have more links, than fit into a block.
func TestBaseOfLongChains(t *testing.T) {
	v := made(t, putProduct("shop"), putAsset("hub", 1))
	for i := range 3000 {
		id := fmt.Sprintf("a%04d", i)
		a, l := putAsset(id, 9), putLink("shop", fmt.Sprintf("n/%04d", i), "hub")
		v.apply(&a)
		v.apply(&l)
	}
	for i := range 2000 {
		m := addVersion("hub", i+2, 2)
		v.apply(&m)
	}
	w := folded(t, v)
	if n := w.References(asset.Digest{9}); n != 3000 {
		t.Error(n)
	}
	if links := w.LinksOf("hub"); len(links) != 3000 || !slices.IsSortedFunc(links, compareLinks) {
		t.Error(len(links))
	}
	if e, ok := w.Find("shop", "n/1234", 1999); !ok || e.Number != 1999 || e.Versions != 2001 || w.Err() != nil {
		t.Error(e, ok, w.Err())
	}
	page := w.Links("shop", "n/", "n/1500", 100)
	if len(page) != 100 || page[0].Name != "n/1501" || page[99].Name != "n/1600" {
		t.Error(len(page))
	}
}

// Find allocates nothing, wherever link and asset are, and whether or not tags were purged.
func TestFindAllocatesNothing(t *testing.T) {
	u, v := smallMatrix(t)
	v = folded(t, v)
	for i := range 100 {
		if next, err := stepped(v, u.mutation(v), time.Unix(int64(i), 0).UTC()); err == nil {
			v = next
		}
	}
	var space [4096]byte
	found := 0
	ask := func() {
		for _, p := range u.products {
			for _, n := range u.names {
				for number := range 3 {
					if e, ok := v.Find(p, n, number); ok {
						found++
						_ = e.Record.AppendTags(e.Record.AppendID(space[:0], e.At), e.At, ",")
					}
				}
			}
		}
	}
	ask()
	if n := testing.AllocsPerRun(50, ask); n != 0 || found == 0 || v.hiddenAssets.n == 0 || v.hiddenLinks.n == 0 {
		t.Fatal(n, found, v.hiddenAssets.n, v.hiddenLinks.n)
	}
}

// Readers read while a writer forks and folds; what a reader sees of one view fits together. No mapping outlives its last
// view for long.
func TestFoldUnderReaders(t *testing.T) {
	u, v := smallMatrix(t)
	var current atomic.Pointer[View]
	current.Store(v)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for ctx.Err() == nil {
				v := current.Load()
				for _, p := range u.products {
					for _, l := range v.Links(p, "", "", 100) {
						e, ok := v.Find(l.Product, l.Name, 0)
						if !ok || string(e.Record.AppendID(nil, e.At)) != l.Asset || e.Pin != l.Pin {
							t.Errorf("%v: %v %v", l, e, ok)
						}
					}
				}
			}
		})
	}
	var opened, unmapped atomic.Int64
	for i := range 200 {
		next, err := stepped(v, u.mutation(v), time.Unix(int64(i), 0).UTC())
		if err == nil {
			v = next
		}
		if i%10 == 0 {
			v = folded(t, v)
			v.base.mapping.unmapped = func() { unmapped.Add(1) }
			opened.Add(1)
		}
		current.Store(v)
	}
	stop()
	readers.Wait()
	v = nil
	current.Store(nil)
	for deadline := time.Now().Add(10 * time.Second); unmapped.Load() < opened.Load(); runtime.Gosched() {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatalf("%d of %d were unmapped", unmapped.Load(), opened.Load())
		}
	}
}

// An entry keeps what it was made of.
func TestEntryOutlivesItsView(t *testing.T) {
	v := folded(t, made(t, putProduct("shop"), putAsset("a", 1), putLink("shop", "x", "a")))
	var unmapped atomic.Bool
	v.base.mapping.unmapped = func() { unmapped.Store(true) }
	e, ok := v.Find("shop", "x", 0)
	v = nil
	for range 5 {
		runtime.GC()
	}
	if id := string(e.Record.AppendID(nil, e.At)); !ok || id != "a" || unmapped.Load() {
		t.Error(id, ok, unmapped.Load())
	}
}

func TestHidden(t *testing.T) {
	const n = 3*hiddenPageBits + 5
	one, two := new(edit), new(edit)
	var a hidden[int]
	of := func(i uint32) *int { v := int(i); return &v }
	for _, i := range []uint32{63, 0, 64, hiddenPageBits, n - 1, 5} {
		a.hide(one, i, n, of(i))
	}
	b := a
	for _, i := range []uint32{1, 1, 2 * hiddenPageBits, 4, 62} {
		b.hide(two, i, n, of(i))
	}
	b.hide(two, 5, n, nil)
	for i := range uint32(n) {
		inA := i == 0 || i == 5 || i == 63 || i == 64 || i == hiddenPageBits || i == n-1
		inB := inA || i == 1 || i == 4 || i == 62 || i == 2*hiddenPageBits
		if a.has(i) != inA || b.has(i) != inB {
			t.Fatal(i, a.has(i), b.has(i))
		}
		if inA && *a.successor(i) != int(i) || inB && i != 5 && *b.successor(i) != int(i) {
			t.Fatal(i)
		}
	}
	if a.n != 6 || b.n != 10 || a.has(1<<31) || b.successor(5) != nil {
		t.Error(a.n, b.n)
	}
}

// A file that has become shorter under its mapping is damage where it is read for the first time, and not the end of the
// process.
func TestShortenedBase(t *testing.T) {
	v := made(t, putProduct("shop"))
	for i := range 2000 {
		id := fmt.Sprint("a", i)
		a, l := putAsset(id, byte(i)), putLink("shop", id, id)
		v.apply(&a)
		v.apply(&l)
	}
	path := writtenBase(t, v)
	b, err := openBase(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, headBytes); err != nil {
		t.Fatal(err)
	}
	short := newView(b)
	if _, ok := short.Find("shop", "a1000", 0); ok || !errors.Is(short.Err(), asset.ErrCorrupt) || !errors.Is(short.Err(), asset.ErrUnavailable) {
		t.Error(ok, short.Err())
	}
	if err := b.verify(t.Context()); !errors.Is(err, asset.ErrCorrupt) {
		t.Error(err)
	}
}
