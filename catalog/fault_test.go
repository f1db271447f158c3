package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/assetmatrix/assetmatrix/asset"
)

// beside returns another writer on the same log: a second catalog over a connection of its own.
func beside(t *testing.T, c *Catalog) *Catalog {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(c.server))
	if err != nil {
		t.Fatal(err)
	}
	s := &natsServer{nc: nc}
	s.srv.Store(c.server.srv.Load())
	other, err := open(t.Context(), s, config(t.TempDir()), Events{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.srv.Store(nil) // c's to stop
		_ = other.Close()
	})
	return other
}

// Two writers on one log, each with its own view: every increment of both counts, once.
func TestTwoWriters(t *testing.T) {
	c := opened(t, t.TempDir())
	update(t, c, putProduct("shop"), putAsset("counter", 1))
	const goroutines, each = 8, 12
	other := beside(t, c)
	var wg sync.WaitGroup
	for _, w := range []*Catalog{c, other} {
		for range goroutines {
			wg.Go(func() {
				for range each {
					increment(t, w)
				}
			})
		}
	}
	wg.Wait()
	if err := c.replica.await(t.Context(), other.View().Revision()); err != nil {
		t.Fatal(err)
	}
	if a, _ := c.View().Asset("counter"); a.Generation != 2*goroutines*each {
		t.Fatalf("%d increments became %d", 2*goroutines*each, a.Generation)
	}
}

// A writer whose view is behind is refused by the log, catches up, and decides again on what the other one wrote.
func TestWriterThatIsBehind(t *testing.T) {
	c := opened(t, t.TempDir())
	other := beside(t, c)
	runs := 0
	revision, err := c.Update(t.Context(), func(v *View) ([]Mutation, error) {
		if runs++; runs == 1 {
			update(t, other, putProduct("shop")) // comes between this decision and its commit
		}
		if _, ok := v.Product("shop"); ok {
			return nil, &asset.Fault{Kind: asset.ErrConflict, Detail: "taken"}
		}
		return []Mutation{putProduct("shop")}, nil
	})
	if !errors.Is(err, asset.ErrConflict) || revision != 0 || runs != 2 {
		t.Fatal(revision, err, runs)
	}
	if n := len(history(t, c)); n != 1 {
		t.Fatalf("the log has %d messages", n)
	}
}

// A shakyLog loses what append says.
type shakyLog struct {
	matrixLog
	lose func(send func() (uint64, error)) (uint64, error)
}

func (l *shakyLog) append(ctx context.Context, after uint64, data []byte) (uint64, error) {
	return l.lose(func() (uint64, error) { return l.matrixLog.append(ctx, after, data) })
}

// committedOnce fails unless each of the products was committed by exactly one transaction.
func committedOnce(t *testing.T, c *Catalog, want int) {
	t.Helper()
	txids, products := map[string]int{}, map[string]int{}
	for _, m := range history(t, c) {
		for _, tx := range m.Transactions {
			txids[tx.TxID]++
			products[tx.Mutations[0].PutProduct.Name]++
		}
	}
	if len(txids) != want || len(products) != want || c.View().products.Len() != want {
		t.Errorf("%d transactions, %d products, %d in the view; want %d", len(txids), len(products), c.View().products.Len(), want)
	}
	for name, n := range products {
		if n != 1 {
			t.Errorf("%s was committed %d times", name, n)
		}
	}
}

func TestLostAcknowledgement(t *testing.T) {
	lost := errors.New("lost")
	for name, lose := range map[string]func(func() (uint64, error)) (uint64, error){
		"after storing": func(send func() (uint64, error)) (uint64, error) {
			if seq, err := send(); err != nil {
				return seq, err
			}
			return 0, lost
		},
		"late": func(send func() (uint64, error)) (uint64, error) {
			go func() { _, _ = send() }()
			return 0, lost
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := opened(t, t.TempDir())
			c.committer.log = &shakyLog{c.committer.log, lose}
			for i := range 10 {
				if revision := update(t, c, putProduct(fmt.Sprint("p", i))); revision != uint64(i)+1 {
					t.Fatal(revision)
				}
			}
			committedOnce(t, c, 10)
		})
	}
}

// An attempt that never arrives is made again; when none arrives in time, the caller is told, and no more than that.
func TestUnreachableLog(t *testing.T) {
	c := opened(t, t.TempDir())
	var attempts atomic.Int64
	down := errors.New("down")
	c.committer.log = &shakyLog{c.committer.log, func(send func() (uint64, error)) (uint64, error) {
		if attempts.Add(1) < 3 {
			return 0, down
		}
		return send()
	}}
	update(t, c, putProduct("shop"))

	attempts.Store(-1 << 40)
	c.committer.timeout = 100 * time.Millisecond
	if err := try(c, putProduct("blog")); !errors.Is(err, asset.ErrUnavailable) || !errors.Is(err, down) {
		t.Fatal(err)
	}
	if err := try(c, putProduct("Bad Name")); !errors.Is(err, asset.ErrInvalid) { // decided without the log
		t.Fatal(err)
	}
	attempts.Store(3)
	update(t, c, putProduct("news"))
	if n := len(history(t, c)); n != 2 {
		t.Fatal(n)
	}
}

// What the server refuses is an error at once, not a timeout.
func TestRefusedMessage(t *testing.T) {
	c := opened(t, t.TempDir())
	c.committer.log = &shakyLog{c.committer.log, func(func() (uint64, error)) (uint64, error) {
		return 0, appendError(&jetstream.APIError{Code: 503, ErrorCode: 10077, Description: "no space left"}, false)
	}}
	if err := try(c, putProduct("shop")); !errors.Is(err, asset.ErrUnavailable) || !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
}

// The connection is cut again and again under load: nothing is lost and nothing is there twice.
func TestCutConnections(t *testing.T) {
	var cuts atomic.Int64
	c, err := Open(t.Context(), config(t.TempDir()), Events{Connection: func(err error) {
		if err != nil {
			cuts.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var stored atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := try(c, putProduct(fmt.Sprintf("p%d-%d", w, i))); err != nil {
					t.Error(err)
					return
				}
				stored.Add(1)
			}
		})
	}
	for round := range int64(2) {
		for before := stored.Load(); stored.Load() < before+50; {
			time.Sleep(time.Millisecond)
		}
		if err := c.server.srv.Load().DisconnectClientByID(clientID(t, c)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); cuts.Load() <= round; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the connection was not cut")
			}
		}
	}
	close(stop)
	wg.Wait()
	committedOnce(t, c, int(stored.Load()))
}

func clientID(t *testing.T, c *Catalog) uint64 {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if id, err := c.server.nc.GetClientID(); err == nil && c.Healthy() == nil {
			return id
		}
	}
	t.Fatal("the connection does not come back")
	return 0
}

// foreign appends raw bytes to the log, past the committer.
func foreign(t *testing.T, c *Catalog, data []byte) {
	t.Helper()
	_, last, err := c.replica.log.bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.replica.log.append(t.Context(), last, data); err != nil {
		t.Fatal(err)
	}
}

// encoded returns a message that continues v's history with the mutations, after change.
func encoded(t testing.TB, v *View, change func(*header), mutations string) []byte {
	t.Helper()
	h := header{Epoch: v.epoch, PrevHash: v.hash, Schema: schema, MinReader: reader, CommitTS: time.Now()}
	if change != nil {
		change(&h)
	}
	data, err := encodeMessage(h, [][]byte{[]byte(`{"txid":"x","mutations":[` + mutations + `]}`)})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A message that does not fit stops the view on the last good one, is reported, and fails the next Open with its
// sequence.
func TestBadMessageFreezes(t *testing.T) {
	good := `{"put_product":{"name":"blog"}}`
	for name, c := range map[string]struct {
		data func(t *testing.T, v *View) []byte
		want string
		kind error
	}{
		"flipped byte": {func(t *testing.T, v *View) []byte {
			data := encoded(t, v, nil, good)
			data[bytes.Index(data, []byte("blog"))] ^= 1
			return data
		}, "its bytes have the hash", asset.ErrCorrupt},
		"no hash":  {func(*testing.T, *View) []byte { return []byte(`{"epoch":"x"}`) }, "does not end with a hash", asset.ErrCorrupt},
		"empty":    {func(*testing.T, *View) []byte { return nil }, "does not end with a hash", asset.ErrCorrupt},
		"epoch":    {func(t *testing.T, v *View) []byte { return encoded(t, v, func(h *header) { h.Epoch = "other" }, good) }, `epoch is "other"`, errChain},
		"previous": {func(t *testing.T, v *View) []byte { return encoded(t, v, func(h *header) { h.PrevHash[0]++ }, good) }, "it follows a message with hash", errChain},
		"newer": {func(t *testing.T, v *View) []byte {
			return encoded(t, v, func(h *header) { h.MinReader = reader + 1 }, good)
		}, "it needs a newer one", nil},
		"newer, other types": {func(t *testing.T, v *View) []byte {
			return encoded(t, v, func(h *header) { h.MinReader = reader + 1 }, `{"put_product":"shop"}`)
		}, "it needs a newer one", nil},
		"unknown kind": {func(t *testing.T, v *View) []byte { return encoded(t, v, nil, `{"put_sprocket":{"name":"x"}}`) }, "kind that this program does not know", errNoMutation},
		"two kinds": {func(t *testing.T, v *View) []byte {
			return encoded(t, v, nil, `{"delete_product":"x","delete_asset":"x"}`)
		}, "several kinds", nil},
		"wrong type": {func(t *testing.T, v *View) []byte { return encoded(t, v, nil, `{"delete_product":7}`) }, "unmarshal JSON number" /* the package varies what is before that */, asset.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			frozen := make(chan error, 1)
			cat, err := Open(t.Context(), config(dir), Events{Frozen: func(err error) { frozen <- err }})
			if err != nil {
				t.Fatal(err)
			}
			defer cat.Close()
			update(t, cat, putProduct("shop"))
			want := dump(cat.View())
			foreign(t, cat, c.data(t, cat.View()))
			checkFrozen(t, <-frozen, 2, c.want, c.kind)
			checkFrozen(t, cat.Healthy(), 2, c.want, c.kind)
			checkFrozen(t, try(cat, putProduct("news")), 2, c.want, c.kind)
			if got := dump(cat.View()); !reflect.DeepEqual(got, want) {
				t.Error("the view has moved")
			}
			cat.Close()
			_, err = Open(t.Context(), config(dir), Events{})
			checkFrozen(t, err, 2, c.want, c.kind)
		})
	}
}

func checkFrozen(t *testing.T, err error, seq uint64, want string, kind error) {
	t.Helper()
	var frozen *FrozenError
	if !errors.As(err, &frozen) || frozen.Sequence != seq || !strings.Contains(err.Error(), want) || !errors.Is(err, asset.ErrUnavailable) {
		t.Fatalf("not frozen at %d by %q: %v", seq, want, err)
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Fatalf("%v is not %v", err, kind)
	}
}

// Members that this program does not know are read over, and covered by the hash all the same.
func TestUnknownMembers(t *testing.T) {
	c := opened(t, t.TempDir())
	update(t, c, putProduct("shop"))
	foreign(t, c, encoded(t, c.View(), nil, `{"put_product":{"name":"blog","colour":"red"},"why":"because"}`))
	if err := c.replica.await(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	update(t, c, putProduct("news")) // continues behind it
	if _, ok := c.View().Product("blog"); !ok {
		t.Fatal("not applied")
	}
}

// damage flips a byte of the nth product in the stored blocks.
func damage(t *testing.T, dir string, n int) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", streamName, "msgs", "*.blk"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(data, fmt.Appendf(nil, "shop-%03d", n)); i > 0 {
			data[i] ^= 1
			if err := os.WriteFile(f, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("not found in", files)
}

// A flipped bit on the disk makes the server leave a hole (after a clean stop) or cut the log off there (after a kill),
// and say nothing in either case. Open does.
func TestDamagedBlock(t *testing.T) {
	for _, killed := range []bool{false, true} {
		for _, n := range []int{1, 5, 10} {
			t.Run(fmt.Sprintf("killed=%v,%d", killed, n), func(t *testing.T) {
				t.Parallel()
				dir, copied := t.TempDir(), t.TempDir()
				c := opened(t, dir)
				for i := range 10 {
					update(t, c, putProduct(fmt.Sprintf("shop-%03d", i+1)))
				}
				if killed { // what is on the disk now is what a kill leaves
					if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
					dir = copied
				}
				c.Close()
				damage(t, dir, n)
				for range 2 { // and it does not heal by trying again
					_, err := Open(t.Context(), config(dir), Events{})
					var frozen *FrozenError
					if !errors.As(err, &frozen) || frozen.Sequence < uint64(n) || frozen.Sequence > uint64(n)+1 || !strings.Contains(err.Error(), fmt.Sprint(n)) {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// The other history: as long as ours and without a fault, but not what was applied here.
func TestReplacedHistory(t *testing.T) {
	ours, theirs := t.TempDir(), t.TempDir()
	for _, dir := range []string{ours, theirs} {
		c := opened(t, dir)
		update(t, c, putProduct("shop"))
		c.Close()
	}
	if err := os.RemoveAll(filepath.Join(ours, "jetstream")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(theirs, "jetstream"), filepath.Join(ours, "jetstream")); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), config(ours), Events{})
	checkFrozen(t, err, 1, "was applied here before", errChain)
}

// A hole far behind the view is found as well: the server that has it is the only one there is.
func TestDamagedOldBlock(t *testing.T) {
	dir, o := t.TempDir(), new(told)
	c := openWith(t, foldEvery(config(dir), 5), o)
	for i := range 12 { // more than a block holds
		m := putProduct(fmt.Sprintf("shop-%03d", i+1))
		m.PutProduct.Presets = map[string]string{"thumb": strings.Repeat("x", maxTransactionBytes*9/10)}
		update(t, c, m)
	}
	uploads(t, c, 0, 10)
	within(t, "a fold", func() bool { return o.folds() > 0 })
	c.Close()
	damage(t, dir, 3)
	for range 2 {
		_, err := Open(t.Context(), config(dir), Events{})
		checkFrozen(t, err, 3, "sequence 3 is missing", errChain)
	}
}

// A gap in the sequences is never read over, wherever it is.
func TestHoles(t *testing.T) {
	v := made(t)
	m := &message{header: header{Epoch: "e"}}
	if err := v.admit(1, m); err != nil {
		t.Fatal(err)
	}
	v.advance(1, m)
	if err := v.admit(3, m); !errors.Is(err, errChain) || !strings.Contains(err.Error(), "sequence 2 is missing") {
		t.Fatal(err)
	}
}

// A forgetfulLog has lost its end while we ran.
type forgetfulLog struct {
	matrixLog
	last uint64
}

func (l *forgetfulLog) append(context.Context, uint64, []byte) (uint64, error) { return 0, errMoved }

func (l *forgetfulLog) read(context.Context, uint64) ([]byte, error) { return nil, errNothing }

func (l *forgetfulLog) bounds(context.Context) (first, last uint64, err error) { return 1, l.last, nil }

func TestLogForgets(t *testing.T) {
	for last, missing := range map[uint64]uint64{1: 2, 9: 3} {
		c := opened(t, t.TempDir())
		update(t, c, putProduct("shop"))
		update(t, c, putProduct("blog"))
		c.committer.log = &forgetfulLog{c.committer.log, last}
		checkFrozen(t, try(c, putProduct("news")), missing, "is missing", errChain)
		if c.Healthy() == nil {
			t.Fatal("healthy")
		}
	}
}
