package catalog

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

func requests(t *testing.T, transactions ...[]Mutation) (all []*request) {
	for _, mutations := range transactions {
		all = append(all, newRequest(t.Context(), func(*View) ([]Mutation, error) { return mutations, nil }))
	}
	return all
}

// A transaction that is refused after it was begun leaves nothing in what the group makes, and those behind it are decided
// as if it had never been.
func TestRefusedInAGroup(t *testing.T) {
	base := made(t, putProduct("shop"))
	refusal := deleteLink("shop", "nothing")
	g := decide(base, requests(t,
		[]Mutation{putAsset("a", 1), putLink("shop", "x", "a")},
		[]Mutation{putAsset("b", 1), putLink("shop", "y", "b"), refusal},
		[]Mutation{putLink("shop", "z", "b")}, // of what was refused
		[]Mutation{putLink("shop", "y", "a")},
		[]Mutation{putAsset("c", 1), {DeleteAsset: "a"}},
		[]Mutation{putAsset("d", 1), putLink("shop", "w", "d")},
		nil,
	))
	var errs []string
	for _, r := range g.decided {
		errs = append(errs, fmt.Sprint(r.err != nil))
	}
	if got := strings.Join(errs, " "); got != "false true true false true false false" {
		t.Error(got)
	}
	want := made(t, putProduct("shop"), putAsset("a", 1), putLink("shop", "x", "a"), putLink("shop", "y", "a"), putAsset("d", 1), putLink("shop", "w", "d"))
	u := newUniverse(1)
	u.ids, u.names, u.originals = []string{"a", "b", "c", "d"}, []string{"w", "x", "y", "z"}, []asset.Digest{{1}}
	if d := differences(u.answers(g.made), u.answers(want)); d != nil {
		t.Error(strings.Join(d, "\n"))
	}
	if len(g.encoded) != 3 || len(g.taken) != 3 || base.assets.Len() != 0 {
		t.Error(len(g.encoded), len(g.taken), base.assets.Len())
	}
}

// What a group makes is what the log's message makes of the same base.
func TestGroupIsItsMessage(t *testing.T) {
	u, base := smallMatrix(t)
	base = folded(t, base)
	base.epoch = "e"
	var all []*request
	for range 60 {
		all = append(all, newRequest(t.Context(), func(v *View) ([]Mutation, error) {
			return []Mutation{u.mutation(v), u.mutation(v)}[:1+u.rnd.IntN(2)], nil
		}))
	}
	g := decide(base, all)
	_, data, err := g.message()
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodeMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	replayed := base.fork()
	if err := replayed.admit(base.revision+1, m); err != nil {
		t.Fatal(err)
	}
	replayed.advance(base.revision+1, m)
	if d := differences(u.answers(g.made), u.answers(replayed)); d != nil || len(g.taken) < 10 || !g.refused {
		t.Error(len(g.taken), g.refused, d)
	}
	if !g.made.committing.Equal(replayed.committing) || g.made.hash != replayed.hash {
		t.Error(g.made.committing, replayed.committing)
	}
}

// Nothing is committed on a view that may not have found what is there.
func TestNothingIsCommittedOnADamagedView(t *testing.T) {
	c := opened(t, t.TempDir())
	revision := update(t, c, putProduct("shop"), putAsset("a", 1), putLink("shop", "x", "a"))
	path := writtenBase(t, c.View())
	b := opened1(t, path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte{0xff}, headBytes); err != nil {
		t.Fatal(err)
	}
	_ = b.verify(t.Context())
	g := decide(newView(b), requests(t, []Mutation{putAsset("b", 2)}))
	if _, err := c.committer.store(t.Context(), g); !errors.Is(err, asset.ErrUnavailable) || !errors.Is(err, asset.ErrCorrupt) {
		t.Error(err)
	}
	if _, last, err := c.replica.log.bounds(t.Context()); err != nil || last != revision {
		t.Error(last, err)
	}
}
