package bench

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/catalog"
)

func TestCommits(t *testing.T) {
	r := testRun(t)
	if err := commits(t.Context(), r, commitsSize{writers: []int{1, 4}, lasts: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"transactions_per_second", "transactions_per_second_1_writer", "commit_p50_ms", "commit_p99_ms", "group_size", "flush_p50_ms", "acknowledged_and_there"} {
		if r.report.value(t, name) <= 0 {
			t.Errorf("%s is %v", name, r.report.value(t, name))
		}
	}
	if best, one := r.report.value(t, "transactions_per_second"), r.report.value(t, "transactions_per_second_1_writer"); best < one {
		t.Errorf("the best of all is %v, that of one writer %v", best, one)
	}
	if p := r.report.Plots; len(p) != 2 || len(p[0].drawable()[0].Points) != 2 || len(p[1].drawable()) != 2 {
		t.Errorf("plots of %v", p)
	}
}

func TestCommitsInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	r := testRun(t)
	r.Progress = func(p Progress) { // the writers begin
		if p.Done > 0 {
			interrupt()
		}
	}
	if err := commits(ctx, r, commitsSize{writers: []int{2}, lasts: 8 * time.Second}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if _, err := flushes(ctx, r.path("flushes"), time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("flushing ended with %v", err)
	}
}

// What a writer saw acknowledged and is not there is counted, one by one.
func TestMissing(t *testing.T) {
	cfg := catalog.DefaultConfig()
	cfg.Dir = t.TempDir()
	c, err := catalog.Open(t.Context(), cfg, catalog.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if err := addProducts(t.Context(), c, "shop"); err != nil {
		t.Fatal(err)
	}
	w := newWriter(3, "shop")
	for range 5 {
		if _, err := w.write(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.missing(c.View()); n != 0 || w.made != 5 {
		t.Errorf("%d of %d are missing", n, w.made)
	}
	for i, want := range []int{5: 0, 6: 1, 7: 2, 9: 4} {
		claimed := *w
		if claimed.made = i; want > 0 && claimed.missing(c.View()) != want {
			t.Errorf("of %d claimed, %d are missing, want %d", i, claimed.missing(c.View()), want)
		}
	}
	link, a, _ := c.View().Lookup("shop", w.name(0))
	_, err = c.Update(t.Context(), func(*catalog.View) ([]catalog.Mutation, error) {
		return []catalog.Mutation{{DeleteLink: &catalog.LinkRef{Product: "shop", Name: link.Name}}}, nil
	})
	if err != nil || a.Status != asset.Active {
		t.Fatal(err)
	}
	if n := w.missing(c.View()); n != 2 { // the upload and the version
		t.Errorf("after a deletion %d are missing", n)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := verify(t.Context(), cfg, []*writer{w}); err == nil || !strings.HasPrefix(err.Error(), "2 acknowledged transactions") {
		t.Errorf("after opening again: %v", err)
	}
	w.made = 0
	if err := verify(t.Context(), cfg, []*writer{w}); err != nil {
		t.Error(err)
	}
}

// The size of a group is that of all messages, and its spread that of the sixths of them.
func TestGroupSizes(t *testing.T) {
	var l commitLevel
	for _, n := range []int{1, 3, 8, 8, 8, 8, 8, 8, 8, 8, 10, 12} {
		l.committed(n, 0)
	}
	if got := l.groupSize(); math.Abs(got-7.5) > 1e-9 {
		t.Errorf("%v in a group", got)
	}
	if got, want := l.groupSizes(), (samples{2, 8, 8, 8, 8, 11}); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := new(commitLevel).groupSizes(); len(got) != 0 {
		t.Errorf("%v of none", got)
	}
}
