package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// A way is how products come by assets that they share.
type way interface {
	// fill puts the first content of each asset to where its users get it.
	fill(ctx context.Context, t *trace) error
	// publish gives assets new content, together if the way knows how to. It returns when that is acknowledged, with what
	// a visitor may demand of an answer from then on: a query, "" where there is nothing to demand.
	publish(ctx context.Context, t *trace, r release) (demand string, err error)
	// front is where a product's visitors ask; releases are watched at watched.
	front(product int) string
	watched(product int) string
	// servers are all processes.
	servers() []*server
	end() error
}

// A matrixWay is one server at which the visitors of all products ask, and an edge, another process, at which releases are
// watched.
type matrixWay struct {
	all, edge *server
	api       *client.Client
}

func newMatrixWay(ctx context.Context, r *run) (_ *matrixWay, err error) {
	w := new(matrixWay)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.end())
		}
	}()
	log, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if w.all, err = startServer(ctx, r.Program, "all", r.path("matrix", "all"), "ASSETMATRIX_NATS_LISTEN="+log); err != nil {
		return nil, err
	}
	if _, err = w.all.ready(ctx); err != nil {
		return nil, err
	}
	w.edge, err = startServer(ctx, r.Program, "edge", r.path("matrix", "edge"),
		"ASSETMATRIX_NATS_URL=nats://"+log, "ASSETMATRIX_CONTROL_URL=http://"+w.all.control)
	if err != nil {
		return nil, err
	}
	if _, err = w.edge.ready(ctx); err != nil {
		return nil, err
	}
	w.api, err = client.New("http://" + w.all.control)
	return w, err
}

func (w *matrixWay) front(int) string   { return w.all.front }
func (w *matrixWay) watched(int) string { return w.edge.front }

func (w *matrixWay) servers() (all []*server) {
	for _, s := range []*server{w.all, w.edge} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

func (w *matrixWay) end() error { return endAll(w.servers()) }

// staging is the product that holds what is going to be released together.
const staging = "staging"

// fill stores each asset once, and links it to its users.
func (w *matrixWay) fill(ctx context.Context, t *trace) error {
	for p := range t.products {
		if err := defineProduct(ctx, w.api, productName(p)); err != nil {
			return err
		}
	}
	if err := defineProduct(ctx, w.api, staging); err != nil {
		return err
	}
	for a, content := range t.originals {
		if _, err := put(ctx, w.api, productName(t.owner(a)), assetName(a), content); err != nil {
			return err
		}
		for _, p := range t.users(a) {
			if p == t.owner(a) {
				continue
			}
			spec := client.LinkSpec{Product: productName(t.owner(a)), Name: assetName(a)}
			if _, err := w.api.PutLink(ctx, productName(p), assetName(a), spec); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *matrixWay) publish(ctx context.Context, t *trace, r release) (demand string, err error) {
	if len(r) == 1 {
		receipt, err := put(ctx, w.api, productName(t.owner(r[0].asset)), assetName(r[0].asset), r[0].content)
		return demanding(receipt.Revision), err
	}
	var operations []client.Operation
	for _, c := range r {
		if _, err := put(ctx, w.api, staging, assetName(c.asset), c.content); err != nil {
			return "", err
		}
		digest := asset.Digest(sha256.Sum256(c.content))
		operations = append(operations, client.Operation{
			Op: client.OpPutAsset, Product: productName(t.owner(c.asset)), Name: assetName(c.asset), Digest: &digest,
		})
	}
	done, err := w.api.Transact(ctx, operations)
	return demanding(done.Revision), err
}

func demanding(revision uint64) string { return fmt.Sprint("?min_revision=", revision) }

// A siloedWay is a server for each product, with copies of what it needs from others: a job beside each looks at the others' lists
// at an interval, and copies what is new.
type siloedWay struct {
	silos    []*silo
	interval time.Duration
	jobs     sync.WaitGroup
	stop     context.CancelFunc
	mu       sync.Mutex // guards failed
	failed   error      // of a job
}

type silo struct {
	*server
	product int
	api     *client.Client
	known   map[int]asset.Digest // what the job has copied
}

func newSiloedWay(ctx context.Context, r *run, products int, interval time.Duration) (_ *siloedWay, err error) {
	w := &siloedWay{interval: interval}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.end())
		}
	}()
	for p := range products {
		r.progress("siloed: starting", p, products)
		s, err := startServer(ctx, r.Program, "all", r.path("siloed", productName(p)))
		if err != nil {
			return nil, err
		}
		w.silos = append(w.silos, &silo{server: s, product: p, known: map[int]asset.Digest{}})
		if _, err := s.ready(ctx); err != nil {
			return nil, err
		}
		if w.silos[p].api, err = client.New("http://" + s.control); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *siloedWay) front(product int) string   { return w.silos[product].server.front }
func (w *siloedWay) watched(product int) string { return w.front(product) }

func (w *siloedWay) servers() (all []*server) {
	for _, s := range w.silos {
		all = append(all, s.server)
	}
	return all
}

func (w *siloedWay) end() error {
	if w.stop != nil {
		w.stop()
		w.jobs.Wait()
	}
	return errors.Join(w.failed, endAll(w.servers()))
}

// fill stores each asset at its owner, starts the jobs, and waits until they have copied everything.
func (w *siloedWay) fill(ctx context.Context, t *trace) error {
	for _, s := range w.silos {
		if err := defineProduct(ctx, s.api, productName(s.product)); err != nil {
			return err
		}
	}
	if _, err := w.publish(ctx, t, t.all()); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	w.stop = stop
	var copied sync.WaitGroup
	for i, s := range w.silos {
		copied.Add(1)
		first := sync.OnceFunc(copied.Done)
		w.jobs.Go(func() {
			defer first()
			offset := w.interval * time.Duration(i) / time.Duration(len(w.silos)) // they do not look all at once
			for at := time.Now().Add(offset); running.Err() == nil; at = at.Add(w.interval) {
				if err := s.copyAll(running, w, t); err != nil && running.Err() == nil {
					w.fail(fmt.Errorf("the job of %s: %w", productName(s.product), err))
					return
				}
				first()
				_ = sleepUntil(running, at)
			}
		})
	}
	copied.Wait()
	return w.failure()
}

// all is the first content of every asset, as a release.
func (t *trace) all() (r release) {
	for a, content := range t.originals {
		r = append(r, change{a, content, a})
	}
	return r
}

func (w *siloedWay) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = errors.Join(w.failed, err)
}

func (w *siloedWay) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// copyAll copies what the others' lists have anew.
func (s *silo) copyAll(ctx context.Context, w *siloedWay, t *trace) error {
	needs := map[string]int{}
	for _, a := range t.needs[s.product] {
		needs[assetName(a)] = a
	}
	for _, from := range w.silos {
		if from == s {
			continue
		}
		for cursor, more := "", true; more; more = cursor != "" {
			page, err := from.api.List(ctx, productName(from.product), client.ListOptions{Limit: 1000, Cursor: cursor})
			if err != nil {
				return err
			}
			for _, item := range page.Assets {
				a, needed := needs[item.Name]
				if !needed || t.owner(a) != from.product || s.known[a] == item.Digest {
					continue
				}
				if err := s.copyOne(ctx, from, item.Name); err != nil {
					return err
				}
				s.known[a] = item.Digest
			}
			cursor = page.Next
		}
	}
	return nil
}

func (s *silo) copyOne(ctx context.Context, from *silo, name string) error {
	answer, err := ask(ctx, from.server.front, productName(from.product), "original", name, "")
	if err != nil {
		return err
	}
	_, err = put(ctx, s.api, productName(s.product), name, answer.body)
	return err
}

// publish puts one after another to its owner: there is nothing that would hold them together.
func (w *siloedWay) publish(ctx context.Context, t *trace, r release) (demand string, err error) {
	for _, c := range r {
		s := w.silos[t.owner(c.asset)]
		if _, err := put(ctx, s.api, productName(s.product), assetName(c.asset), c.content); err != nil {
			return "", err
		}
	}
	return "", w.failure()
}

func defineProduct(ctx context.Context, api *client.Client, name string) error {
	_, err := api.PutProduct(ctx, name, client.ProductSpec{Presets: presets})
	return err
}

func put(ctx context.Context, api *client.Client, product, name string, content []byte) (client.Receipt, error) {
	return api.PutAsset(ctx, product, name, bytes.NewReader(content), int64(len(content)), client.PutOptions{})
}

func endAll(servers []*server) error {
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.end())
	}
	return errors.Join(errs...)
}
