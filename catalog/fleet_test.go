package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/assetmatrix/assetmatrix/asset"
)

// replicaOf returns what c knows of the replica with that id.
func replicaOf(c *Catalog, id string) (Replica, bool) {
	for _, r := range c.Replicas() {
		if r.ID == id {
			return r, true
		}
	}
	return Replica{}, false
}

// A stranger speaks as an edge.
func stranger(t *testing.T, url string) (nc *nats.Conn, says func(beat)) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, func(b beat) {
		text, _ := json.Marshal(b)
		if err := nc.Publish(edgeSubject, text); err != nil {
			t.Error(err)
		}
	}
}

// Writers know who lives, and what they show; who leaves is forgotten at once.
func TestReplicas(t *testing.T) {
	c, url := accepting(t, t.TempDir(), func(cfg *Config) { cfg.Version = "v1" })
	revision := update(t, c, putProduct("shop"))
	var edges []*Catalog
	for range 3 {
		edges = append(edges, edge(t, t.TempDir(), url))
	}
	shows := func(c *Catalog, id, role string) bool {
		r, ok := replicaOf(c, id)
		return ok && r.Role == role && r.Revision == revision && r.Hash == c.View().hash && r.Lag == 0 && r.LagSeconds == 0 && r.Frozen == "" &&
			time.Since(r.Seen) < time.Minute
	}
	until(t, "all to be known", func() bool {
		return !slices.ContainsFunc(edges, func(e *Catalog) bool {
			return !shows(c, e.fleet.id, roleEdge) || !shows(e, c.fleet.id, roleControl) || !shows(e, e.fleet.id, roleEdge)
		})
	})
	if r, _ := replicaOf(edges[0], c.fleet.id); len(c.Replicas()) != 4 || len(edges[0].Replicas()) != 2 || r.Version != "v1" {
		t.Errorf("%+v", edges[0].Replicas())
	}
	if err := edges[0].Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the one that left to be forgotten", func() bool { _, ok := replicaOf(c, edges[0].fleet.id); return !ok })
}

// A write can wait for every edge: also for one that is only just there.
func TestAwaitReplicas(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	edges := []*Catalog{edge(t, t.TempDir(), url), edge(t, t.TempDir(), url)}
	for i := range 50 {
		revision := update(t, c, putProduct(fmt.Sprint("p", i)))
		if behind, err := c.AwaitReplicas(t.Context(), revision); err != nil || behind != nil {
			t.Fatal(behind, err)
		}
		for _, e := range edges {
			if e.View().Revision() < revision {
				t.Fatal("an edge does not show it")
			}
		}
	}
	if len(c.Replicas()) != 3 {
		t.Error(c.Replicas())
	}
}

// Who lives and is behind is waited for, and named; who is silent for long is not waited for.
func TestAwaitReplicaThatIsBehind(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	revision := update(t, c, putProduct("shop"))
	nc, says := stranger(t, url)
	says(beat{ID: "slow", Role: roleEdge})
	until(t, "it to be known", func() bool { _, ok := replicaOf(c, "slow"); return ok })
	if r, _ := replicaOf(c, "slow"); r.Lag != 1 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	behind, err := c.AwaitReplicas(ctx, revision)
	if !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(behind, []string{"slow"}) {
		t.Fatal(behind, err)
	}
	asked, err := nc.SubscribeSync(askSubject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	await := func() {
		_, err := c.AwaitReplicas(t.Context(), revision)
		done <- err
	}
	says(beat{ID: "slow", Role: roleEdge, Epoch: "before the restore", Revision: revision + 100})
	until(t, "it to be astray", func() bool { r, _ := replicaOf(c, "slow"); return r.Revision > revision && r.Lag == revision })
	if behind, _ := c.fleet.behind(revision, nil); !slices.Equal(slices.Collect(maps.Keys(behind)), []string{"slow"}) {
		t.Error("a replica of another history is not behind:", behind)
	}
	go await()
	if m, err := asked.NextMsg(10 * time.Second); err != nil || string(m.Data) != fmt.Sprintf(`{"revision":%d}`, revision) {
		t.Fatal(err)
	}
	says(beat{ID: "slow", Role: roleEdge, Revision: revision})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	says(beat{ID: "slow", Role: roleEdge})
	until(t, "it to be behind again", func() bool { r, _ := replicaOf(c, "slow"); return r.Lag == 1 })
	c.fleet.mu.Lock()
	c.fleet.forget = 100 * time.Millisecond
	c.fleet.mu.Unlock()
	says(beat{ID: "slow", Role: roleEdge})
	until(t, "it to be heard", func() bool { r, _ := replicaOf(c, "slow"); return r.Lag == 1 })
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if behind, err := c.AwaitReplicas(ctx, revision); !errors.Is(err, context.DeadlineExceeded) || !slices.Equal(behind, []string{"slow"}) {
		t.Fatal("who is not heard of any more shows nothing else for that:", behind, err)
	}
	go await() // anew
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.fleet.mu.Lock()
	c.fleet.forget = forgetAfter
	c.fleet.mu.Unlock()
	says(beat{ID: "slow", Role: roleEdge})
	until(t, "it to be known again", func() bool { r, _ := replicaOf(c, "slow"); return r.Lag == 1 })
	go await()
	says(beat{ID: "slow", Role: roleEdge, Leaving: true})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// What edges say is bounded, and is not believed about the log.
func TestStrangeBeats(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	update(t, c, putProduct("shop"))
	nc, says := stranger(t, url)
	far := uint64(1 << 60)
	for _, text := range []string{"", "{", "[]", `{"revision":-1}`, `{"id":""}`, `{"id":"long","frozen":"` + strings.Repeat("x", maxBeatBytes) + `"}`} {
		if err := nc.Publish(edgeSubject, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	says(beat{ID: c.fleet.id, Role: roleEdge})
	says(beat{ID: "liar", Role: roleControl, Epoch: c.View().epoch, Revision: far, Head: &far})
	until(t, "the last to be known", func() bool { _, ok := replicaOf(c, "liar"); return ok })
	if r, _ := replicaOf(c, c.fleet.id); len(c.Replicas()) != 2 || r.Lag != 0 || c.Age() != 0 {
		t.Errorf("%+v", c.Replicas())
	}
}

// The age of an edge is next to nothing while it is connected, and grows when it is not, over restarts too.
func TestAge(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	revision := update(t, c, putProduct("shop"))
	dir := t.TempDir()
	e := edge(t, dir, url)
	reaches(t, e, revision)
	heard := func() time.Time {
		e.fleet.mu.Lock()
		defer e.fleet.mu.Unlock()
		return e.fleet.fresh
	}
	before := time.Now()
	until(t, "a beat", func() bool { return heard().After(before) })
	if c.Age() != 0 || e.Age() > 10*time.Second {
		t.Error(c.Age(), e.Age())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	until(t, "the edge to notice", func() bool { return e.Healthy() != nil })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	last := heard()
	if last.After(gone) {
		t.Error("it was heard of after it was gone")
	}
	e = edge(t, dir, url)
	if e.View().Revision() != revision {
		t.Skip("a replica does not come back without its control plane yet")
	}
	if got := heard(); got.After(last) || last.Sub(got) > time.Second {
		t.Errorf("after the restart it is of %s, before of %s", got, last)
	}
	if age := e.Age(); age < time.Since(gone)-time.Millisecond || age > time.Since(before)+2*beatInterval {
		t.Error(age, time.Since(gone))
	}
}

// The time that was kept proves nothing about an older view.
func TestFollowed(t *testing.T) {
	dir := t.TempDir()
	committed, at := time.Now().Add(-time.Hour), time.Now().Add(-time.Minute).Truncate(time.Microsecond)
	view := func(revision uint64) *View {
		v := new(View)
		v.revision, v.committing = revision, committed
		v.hash[0] = byte(revision)
		return v
	}
	since := func(v *View) time.Time {
		t.Helper()
		f, got, err := openFollowed(dir, v)
		if err != nil {
			t.Fatal(err)
		}
		f.close()
		return got
	}
	f, got, err := openFollowed(dir, view(7))
	if err != nil || !got.Equal(committed) {
		t.Fatal(got, err)
	}
	f.set(view(7), at)
	f.close()
	other := view(7)
	other.hash[1]++
	for v, want := range map[*View]time.Time{view(7): at, view(8): at, view(6): committed, other: committed} {
		if got := since(v); !got.Equal(want) {
			t.Error(v.revision, got, want)
		}
	}
	path := filepath.Join(dir, "followed")
	for _, text := range []string{"", "garbage", strings.Repeat("9", 300), fmt.Sprintf(followedFormat, 7, time.Now().Add(time.Hour).UnixMicro(), view(7).hash)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := since(view(7)); !got.Equal(committed) {
			t.Errorf("%.20q: %s", text, got)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openFollowed(dir, view(7)); err == nil {
		t.Error("a directory is no file")
	}
}

func TestReplicaID(t *testing.T) {
	dir, host := t.TempDir(), ""
	a, err := replicaID(dir)
	if host, _ = os.Hostname(); err != nil || !strings.HasPrefix(a, host+"-") || len(a) != len(host)+11 {
		t.Fatal(a, err)
	}
	if again, err := replicaID(dir); again != a || err != nil {
		t.Error(again, err)
	}
	path := filepath.Join(dir, "replica-id")
	for _, damaged := range []string{"", "abc\n", "\xff\x00\"zzzzzzz\n", strings.Repeat("a", 10_000)} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		id, err := replicaID(dir)
		if again, _ := replicaID(dir); err != nil || again != id || len(id) != len(a) {
			t.Errorf("%.20q: %.20q %v", damaged, id, err)
		}
	}
	if other, _ := replicaID(t.TempDir()); other == a {
		t.Error("two replicas have the same id")
	}
	if _, err := replicaID(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestShown(t *testing.T) {
	var s shown
	now := time.Now().Add(time.Hour)
	if got := s.since(3, now); !got.Equal(now) {
		t.Error(got)
	}
	for r := range uint64(5000) {
		s.add(r / 2)
	}
	if len(s.times) > maxShown || !s.since(0, now).Equal(s.times[0].at) || !s.since(2499, now).Equal(now) {
		t.Error(len(s.times))
	}
	if i := len(s.times) - 10; !s.since(s.times[i].revision-1, now).Equal(s.times[i].at) {
		t.Error("not the time of the next one")
	}
}

// Whoever looks for changes gets all of them, verified, and what it gets is in the view.
func TestChanges(t *testing.T) {
	c, url := accepting(t, t.TempDir(), nil)
	for i := range 5 {
		update(t, c, putProduct(fmt.Sprint("p", i)))
	}
	e := edge(t, t.TempDir(), url)
	enough := errors.New("enough")
	for _, from := range []*Catalog{c, e} {
		for after := range uint64(7) { // 6 is not there yet
			seen := after
			var coming sync.WaitGroup
			if after >= 5 {
				coming.Go(func() {
					_ = try(c, putProduct(fmt.Sprintf("more-%s-%d", from.fleet.role, after)))
					_ = try(c, putProduct(fmt.Sprintf("evenmore-%s-%d", from.fleet.role, after)))
				})
			}
			err := from.Changes(t.Context(), after, func(ch Change) error {
				if seen++; ch.Revision != seen || len(ch.Mutations) != 1 || ch.Mutations[0].PutProduct == nil || ch.CommittedAt.IsZero() {
					t.Errorf("%+v", ch)
				}
				if _, ok := from.View().Product(ch.Mutations[0].PutProduct.Name); !ok {
					t.Error("the view does not show it")
				}
				if seen >= after+1 && seen >= 5 {
					return enough
				}
				return nil
			})
			if !errors.Is(err, enough) {
				t.Error(after, err)
			}
			coming.Wait()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Changes(ctx, 1, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A shortLog begins where others have been going on for long.
type shortLog struct {
	matrixLog
	first uint64
}

func (l shortLog) bounds(context.Context) (first, last uint64, err error) { return l.first, 5, nil }

func TestChangesThatAreGone(t *testing.T) {
	c := opened(t, t.TempDir())
	for i := range 5 {
		update(t, c, putProduct(fmt.Sprint("p", i)))
	}
	log := c.replica.log
	read := func(after uint64) (first uint64, err error) {
		r := &changes{replica: c.replica, at: after, take: func(ch Change) error { first = ch.Revision; return errReplayed }}
		short := &replica{log: shortLog{log, 4}}
		short.current.Store(c.View())
		r.replica = short
		if err := r.begin(t.Context()); err != nil {
			return 0, err
		}
		r.replica = c.replica
		return first, log.tail(t.Context(), after, r.next)
	}
	var f *asset.Fault
	if _, err := read(2); !errors.Is(err, asset.ErrGone) || !errors.As(err, &f) || f.Allowed != "3 or later" {
		t.Error(err)
	}
	for _, after := range []uint64{3, 4} {
		if first, err := read(after); first != after+1 || err.Error() != errReplayed.Error() {
			t.Error(first, err)
		}
	}
}

// What is damaged in the log is an error, not a change.
func TestChangesOfADamagedLog(t *testing.T) {
	c := opened(t, t.TempDir())
	update(t, c, putProduct("shop"))
	foreign(t, c, encoded(t, c.View(), func(h *header) { h.PrevHash[0]++ }, `{"put_product":{"name":"blog"}}`))
	var seen []uint64
	err := c.Changes(t.Context(), 0, func(ch Change) error { seen = append(seen, ch.Revision); return nil })
	checkFrozen(t, err, 2, "it follows a message with hash", errChain)
	if !slices.Equal(seen, []uint64{1}) {
		t.Error(seen)
	}
}
