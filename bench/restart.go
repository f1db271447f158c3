package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// restart starts the program as an edge whose control plane is gone, several times, each on a copy of the base and the
// journal, and measures how long it takes from exec to ready.
func (b *catalogBench) restart(ctx context.Context) error {
	var took []time.Duration
	for i := range b.size.restarts {
		b.progress(b.step("restarting"), i, b.size.restarts)
		t, err := b.restartOnce(ctx, b.path(b.size.name, fmt.Sprint("edge-", i)))
		if err != nil {
			return fmt.Errorf("restart: %w", err)
		}
		took = append(took, t)
	}
	b.m.restarts = newDistribution(took)
	return nil
}

func (b *catalogBench) restartOnce(ctx context.Context, dir string) (_ time.Duration, err error) {
	if err := copyReplica(filepath.Join(dir, "catalog"), b.cfg.Dir); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	p, err := startEdge(ctx, b.Program, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	took, err := p.ready(ctx)
	if err != nil {
		return 0, err
	}
	return took, p.answers(ctx, b.size.population, b.revision)
}

// copyReplica copies what a replica has: the base, which nobody changes, by a link, and the small rest; not the log.
func copyReplica(to, from string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		source, target := filepath.Join(from, f.Name()), filepath.Join(to, f.Name())
		switch {
		case f.IsDir() || f.Name() == "lock":
		case strings.HasPrefix(f.Name(), "base-"):
			err = os.Link(source, target)
		default:
			err = copyFile(target, source)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// startEdge starts the program as an edge on a data directory, with a control plane that is not there.
func startEdge(ctx context.Context, program, dir string) (*server, error) {
	gone, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return startServer(ctx, program, "edge", dir, "ASSETMATRIX_NATS_URL=nats://"+gone)
}

// answers fails unless the front door knows an asset of the import at the revision that the journal ends with.
func (p *server) answers(ctx context.Context, all population, want uint64) error {
	status, header, err := get(ctx, "http://"+p.front+"/"+all.product(0)+"/info/"+nameOf(0))
	if err != nil {
		return err
	}
	if revision := header.Get("Asset-Revision"); status != http.StatusOK || revision != strconv.FormatUint(want, 10) {
		return fmt.Errorf("%s/%s answers %d at revision %q, not %d", all.product(0), nameOf(0), status, revision, want)
	}
	return nil
}
