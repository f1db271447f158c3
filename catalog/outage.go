package catalog

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	// mendInterval is the pause before each attempt to end an outage.
	mendInterval = time.Second
	// storeTimeout is how long the store may take to say whether it is well.
	storeTimeout = 2 * time.Second
	// spareBytes is what must fit on the disk before the server is started again: the largest message, and the indexes
	// that the server writes when it stops and starts.
	spareBytes = 4 * maxTransactionBytes
)

// An outage is when the log cannot be written, the disk being full or failing. It has to be ended: after one failed
// write a JetStream store refuses all others, answers none of them, and only another store on the same files forgets
// that. So the server is started again, once the directory takes as much as a message needs. Nothing is lost by it, for
// nothing was acknowledged since; the server cuts off what it had half written, and the view goes on from its revision.
type outage struct {
	server  *natsServer
	replica *replica
	began   chan struct{} // has room for one
	fault   atomic.Pointer[asset.Fault]
}

func newOutage(s *natsServer, r *replica) *outage {
	return &outage{server: s, replica: r, began: make(chan struct{}, 1)}
}

// err returns the fault that writers are told, nil when there is no outage.
func (o *outage) err() error {
	if f := o.fault.Load(); f != nil {
		return f
	}
	return nil // not a nil *asset.Fault
}

// check asks the server whether it takes messages; an outage begins when it does not. The committer alone calls it.
// A store on a disk that hangs does not answer.
func (o *outage) check() error {
	said := make(chan string, 1)
	go func() { said <- o.server.writeError() }()
	var why string
	select {
	case why = <-said:
	case <-time.After(storeTimeout):
		return fmt.Errorf("%w: the log's store does not answer, and whether it was stored is not known", asset.ErrUnavailable)
	}
	if why == "" || o.err() != nil {
		return o.err()
	}
	o.explain(why)
	o.began <- struct{}{}
	return o.err()
}

// explain makes why what writers are told, in words that are fit for them, and reports it as it is.
func (o *outage) explain(why string) {
	f := unwritable(why)
	o.fault.Store(f)
	o.report(fmt.Errorf("%w: %s", f, why))
}

// unwritable tells clients as much of why as is theirs to know.
func unwritable(why string) *asset.Fault {
	f := &asset.Fault{Kind: asset.ErrUnavailable, Detail: "the matrix cannot be written: its store fails"}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if strings.Contains(why, full.Error()) {
			f.Detail = "the matrix cannot be written: no space left"
		}
	}
	return f
}

// work ends outages until ctx ends.
func (o *outage) work(ctx context.Context) {
	for {
		select {
		case <-o.began:
		case <-ctx.Done():
			return
		}
		if !o.outlast(ctx) {
			return
		}
		o.fault.Store(nil)
		o.report(nil)
	}
}

// outlast returns true when the log can be written again, false when ctx has ended before.
func (o *outage) outlast(ctx context.Context) bool {
	for why := ""; ; {
		select {
		case <-time.After(mendInterval):
		case <-ctx.Done():
			return false
		}
		err := o.mend(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() == nil && err.Error() != why {
			why = err.Error()
			o.explain(why)
		}
	}
}

// mend starts the server again if the disk has room. The stream must be there then; it is never made anew.
func (o *outage) mend(ctx context.Context) error {
	if err := tryWriting(o.server.dir); err != nil {
		return err
	}
	if err := o.server.restart(); err != nil {
		return err
	}
	_, _, err := o.replica.log.bounds(ctx)
	return err
}

func (o *outage) report(err error) {
	if o.replica.events.Outage != nil {
		o.replica.events.Outage(err)
	}
}

// tryWriting fails unless dir takes spareBytes. The file has no name while it is written: nothing is left of it, whenever
// the process ends. Its bytes are random, as a file system may store others in no space at all.
func tryWriting(dir string) error {
	f, err := os.Create(filepath.Join(dir, "trial"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	data := make([]byte, spareBytes)
	_, _ = rand.Read(data) // never fails
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
