package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// restartTimeout is how long a process may take to be ready, or to end.
const restartTimeout = time.Minute

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
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
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

// An edgeProcess is the program at work.
type edgeProcess struct {
	command *exec.Cmd
	started time.Time   // before exec
	lines   chan string // of its log
	control string      // where its management API and its front door listen
	front   string
}

// startEdge starts the program as an edge on a data directory, with a control plane that is not there.
func startEdge(ctx context.Context, program, dir string) (*edgeProcess, error) {
	p := &edgeProcess{lines: make(chan string)}
	var gone string
	for _, address := range []*string{&p.control, &p.front, &gone} {
		var err error
		if *address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	p.command = exec.CommandContext(ctx, program, "serve", "--role", "edge")
	p.command.Dir = dir
	p.command.Env = append(foreignEnvironment(),
		"ASSETMATRIX_DATA_DIR="+dir, "ASSETMATRIX_NATS_URL=nats://"+gone,
		"ASSETMATRIX_DELIVERY_LISTEN="+p.front, "ASSETMATRIX_CONTROL_LISTEN="+p.control)
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = restartTimeout
	return p, p.start()
}

// start starts the process. It dies with the thread that has started it (prctl(2)), so that keeps to its goroutine until
// end.
func (p *edgeProcess) start() error {
	log, err := p.command.StderrPipe()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	p.started = time.Now()
	if err := p.command.Start(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	go p.read(log)
	return nil
}

// foreignEnvironment is this process's environment without what would configure the other.
func foreignEnvironment() (kept []string) {
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ASSETMATRIX_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

func (p *edgeProcess) read(log io.Reader) {
	defer close(p.lines)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		p.lines <- lines.Text()
	}
}

// ready returns how long it took until the process said on /readyz that it is ready.
func (p *edgeProcess) ready(ctx context.Context) (time.Duration, error) {
	if err := p.serving(); err != nil {
		return 0, err
	}
	for {
		status, _, err := get(ctx, "http://"+p.control+"/readyz")
		if err != nil {
			return 0, err
		}
		if status == http.StatusOK {
			return time.Since(p.started), nil
		}
	}
}

// serving reads the log up to the line that says that it listens, and lets go of the rest.
func (p *edgeProcess) serving() error {
	var said []string
	for line := range p.lines {
		var record struct{ Msg string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "serving" {
			go p.drop()
			return nil
		}
		said = append(said, line)
	}
	return fmt.Errorf("%s serve ended: %s", p.command.Path, strings.Join(said, "\n"))
}

func (p *edgeProcess) drop() {
	for range p.lines { // so that it never waits for a reader of its log
	}
}

// answers fails unless the front door knows an asset of the import at the revision that the journal ends with.
func (p *edgeProcess) answers(ctx context.Context, all population, want uint64) error {
	status, header, err := get(ctx, "http://"+p.front+"/"+all.product(0)+"/info/"+nameOf(0))
	if err != nil {
		return err
	}
	if revision := header.Get("Asset-Revision"); status != http.StatusOK || revision != strconv.FormatUint(want, 10) {
		return fmt.Errorf("%s/%s answers %d at revision %q, not %d", all.product(0), nameOf(0), status, revision, want)
	}
	return nil
}

// end stops the process and waits for it.
func (p *edgeProcess) end() error {
	defer runtime.UnlockOSThread()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	return p.command.Wait()
}

func get(ctx context.Context, url string) (status int, header http.Header, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header, err
}
