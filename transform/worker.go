package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A worker is the server's side of one worker process. It is used by one goroutine, its slot's.
type worker struct {
	cmd     *exec.Cmd
	conn    *net.UnixConn
	stderr  *tail
	types   []string
	formats []string
	renders int
	done    chan struct{} // closed when the process has ended
}

// startTimeout is how long a worker may take to say hello.
const startTimeout = 15 * time.Second

// environment is all that a worker sees of ours: no secret is inherited.
var environment = []string{
	// glibc keeps what is freed, in pieces. A render has one thread, so one arena does, whose end goes back when it is large, and blocks of
	// 32 MiB lie outside of it; without fixed thresholds it would learn to keep those as well.
	"MALLOC_ARENA_MAX=1",
	"MALLOC_MMAP_THRESHOLD_=33554432",
	"MALLOC_TRIM_THRESHOLD_=33554432",
	"VIPS_CONCURRENCY=1", // as many workers as cores, one thread each
	// Nothing is written to a disk: what memory does not hold was not admitted. libvips knows no unit above g, and takes 1t
	// for one byte; pictures in temporary files were not only slow but made libvips 8.14 crash on some animations.
	"VIPS_DISC_THRESHOLD=1000g",
	"GOMAXPROCS=2",
	"LC_ALL=C",
	"PATH=/usr/bin:/bin",
}

// fontsVariable names, in a worker's environment, the directory of [Config.Fonts].
const fontsVariable = "RENDER_FONTS"

// startWorker starts a process and waits for its hello. fork runs the start itself, on a thread that outlives it.
func startWorker(command []string, fonts string, fork func(*exec.Cmd) error) (*worker, error) {
	conn, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	w := &worker{conn: conn, stderr: &tail{}, done: make(chan struct{})}
	w.cmd = exec.Command(command[0], command[1:]...)
	w.cmd.Env, w.cmd.Stderr, w.cmd.ExtraFiles, w.cmd.WaitDelay = slices.Concat(environment, []string{fontsVariable + "=" + fonts}), w.stderr, []*os.File{theirs}, time.Second
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = fork(w.cmd)
	_ = theirs.Close() // the worker has the only copy now, so that its end is seen here
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("start worker: %w", err)
	}
	go func() {
		_ = w.cmd.Wait()
		close(w.done)
	}()
	if err := w.hello(); err != nil {
		w.kill()
		return nil, fmt.Errorf("start worker: %w: %s", err, w.stderr)
	}
	return w, nil
}

func (w *worker) hello() error {
	_ = w.conn.SetDeadline(time.Now().Add(startTimeout))
	r, err := receiveReply(w.conn)
	if err != nil {
		return err
	}
	if len(r.Types) == 0 {
		return errMalformed
	}
	w.types, w.formats = r.Types, r.Formats
	return nil
}

// kill ends the process, stopped or not, and waits until it is gone.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.conn.Close()
	<-w.done
}

// errNotTaken: the worker was gone before it took the request, so that asking another costs no answer.
var errNotTaken = errors.New("the worker was gone")

// do sends a request and waits for its result. After any error but a Fault the worker cannot be used again.
//
// A worker says Taken before it looks at the picture. One that is gone before that has died of something else.
func (w *worker) do(ctx context.Context, timeout time.Duration, r *request, files ...*os.File) (reply, error) {
	_ = w.conn.SetDeadline(time.Now().Add(timeout))
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	answer, err := w.exchange(r, files)
	if !stop() {
		return reply{}, context.Cause(ctx)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return reply{}, fmt.Errorf("%w: a render took longer than %s", asset.ErrTimeout, timeout)
	case err == nil || errors.Is(err, errNotTaken) || errors.Is(err, errMalformed):
		return answer, err
	}
	return reply{}, errCrashed
}

var errCrashed = errors.New("the worker crashed")

func (w *worker) exchange(r *request, files []*os.File) (reply, error) {
	if err := send(w.conn, r, files...); err != nil {
		return reply{}, untaken(err)
	}
	taken, err := receiveReply(w.conn)
	if err != nil {
		return reply{}, untaken(err)
	}
	if !taken.Taken {
		return reply{}, errMalformed
	}
	w.renders++
	return receiveReply(w.conn)
}

// untaken keeps a deadline and a malformed reply, which are the worker's fault, apart from a closed connection.
func untaken(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errMalformed) {
		return err
	}
	return errNotTaken
}

// worn reports whether the worker should be replaced before the next render.
func (w *worker) worn(cfg Config) bool {
	return w.renders >= cfg.MaxRenders || w.residentBytes() > cfg.MaxWorkerBytes
}

// residentBytes reads the second field of /proc/pid/statm (proc(5)), which is in pages; 0 when it cannot be read.
func (w *worker) residentBytes() int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(w.cmd.Process.Pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// A tail keeps the last bytes written to it.
type tail struct {
	mu sync.Mutex // guards b
	b  []byte
}

const tailBytes = 4096

// Write implements io.Writer and never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
