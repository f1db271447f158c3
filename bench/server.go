package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// serverTimeout is how long a process may take to be ready, or to end.
const serverTimeout = time.Minute

// noDerivations: what is measured is what is asked for. Presets that are made ahead would be work that no figure counts the use of,
// in formats that nobody here asks for, at the silos as at the matrix.
const noDerivations = "ASSETMATRIX_RENDER_DERIVE=off"

// A server is the program at work, in a process of its own.
type server struct {
	program, role string
	settings      []string
	command       *exec.Cmd
	started       time.Time   // before exec
	lines         chan string // of its log
	dir           string      // its data
	control       string      // where its management API and its front door listen
	front         string
}

// startServer starts the program in a role on a data directory; settings are variables of its environment, KEY=value.
func startServer(ctx context.Context, program, role, dir string, settings ...string) (*server, error) {
	p := &server{program: program, role: role, settings: settings, dir: dir}
	for _, address := range []*string{&p.control, &p.front} {
		var err error
		if *address, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return p, p.start(ctx)
}

// start starts the process. It dies with the thread that has started it (prctl(2)), so that keeps to its goroutine until
// end or kill. One that was killed can be started again.
func (p *server) start(ctx context.Context) error {
	p.command = exec.CommandContext(ctx, p.program, "serve", "--role", p.role)
	p.command.Dir = p.dir
	p.command.Env = append(append(foreignEnvironment(), noDerivations,
		"ASSETMATRIX_DATA_DIR="+p.dir, "ASSETMATRIX_DELIVERY_LISTEN="+p.front, "ASSETMATRIX_CONTROL_LISTEN="+p.control), p.settings...)
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = serverTimeout
	p.lines = make(chan string)
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
	go read(log, p.lines)
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

func read(log io.Reader, to chan<- string) {
	defer close(to)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		to <- lines.Text()
	}
}

// ready returns how long it took until the process said on /readyz that it is ready.
func (p *server) ready(ctx context.Context) (time.Duration, error) {
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
func (p *server) serving() error {
	var said []string
	for line := range p.lines {
		var record struct{ Msg string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "serving" {
			go drop(p.lines)
			return nil
		}
		said = append(said, line)
	}
	return fmt.Errorf("%s serve ended: %s", p.command.Path, strings.Join(said, "\n"))
}

func drop(lines <-chan string) {
	for range lines { // so that the process never waits for a reader of its log
	}
}

// end stops the process and waits for it.
func (p *server) end() error {
	if p.command.Process == nil {
		return nil // it could not be started again
	}
	defer runtime.UnlockOSThread()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	return p.command.Wait()
}

// kill ends the process as a crash does.
func (p *server) kill() error {
	defer runtime.UnlockOSThread()
	if err := p.command.Process.Kill(); err != nil {
		return err
	}
	_ = p.command.Wait() // it was killed
	return nil
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

// rendered returns the CPU time of the processes that the server has started, its render workers, those that have ended
// included (proc_pid_stat(5)).
func (p *server) rendered() (time.Duration, error) {
	members, err := treeOf(p.command.Process.Pid).members()
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, m := range members {
		ticks += m.CUTime + m.CSTime
		if m.PID != p.command.Process.Pid {
			ticks += int(m.UTime + m.STime)
		}
	}
	return time.Duration(ticks) * time.Second / userTicks, nil
}
