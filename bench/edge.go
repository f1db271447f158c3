package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/catalog"
)

// EdgeCommand is the one argument with which the program's main function must call [Edge] and nothing else.
const EdgeCommand = "bench-edge"

// clock returns the time since some moment that all processes of this machine agree on (clock_gettime(2),
// CLOCK_MONOTONIC).
func clock() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // it fails for clocks that are none
	return time.Duration(t.Nano())
}

// An edgeOrder is the first line that an edge reads.
type edgeOrder struct {
	Dir string `json:"dir"`
	URL string `json:"url"` // of the log
}

// A sight is when an edge was seen to show everything up to a revision.
type sight struct {
	Revision uint64        `json:"revision"`
	At       time.Duration `json:"at"` // on clock
}

// Edge is one edge of the sync scenario, in a process of its own as edges are: a replica, and somebody who waits for every
// revision as a request does that demands it. Its first line of input is an edgeOrder as JSON, and each other one a
// revision, which it answers with the same line when it shows it. At the end of its input it writes a JSON array of what it
// has seen.
func Edge(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	var order edgeOrder
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &order) != nil {
		return errors.Join(errors.New("bench edge: it was not told what to do"), lines.Err())
	}
	cfg := catalog.DefaultConfig()
	cfg.Dir, cfg.Role, cfg.NATS.URL = order.Dir, "edge", order.URL
	c, err := catalog.Open(ctx, cfg, catalog.Events{})
	if err != nil {
		return fmt.Errorf("bench edge: %w", err)
	}
	return errors.Join(follow(ctx, c, lines, out), c.Close())
}

func follow(ctx context.Context, c *catalog.Catalog, lines *bufio.Scanner, out io.Writer) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var seen []sight
	var watched sync.WaitGroup
	watched.Go(func() { seen = watch(watching, c) })
	for lines.Scan() {
		revision, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			return fmt.Errorf("bench edge: %w", err)
		}
		if err := c.Await(ctx, revision); err != nil {
			return fmt.Errorf("bench edge: it shows revision %d, not %d: %w", c.View().Revision(), revision, err)
		}
		fmt.Fprintln(out, revision)
	}
	stop()
	watched.Wait()
	return errors.Join(lines.Err(), json.NewEncoder(out).Encode(seen))
}

// watch waits for each revision, until ctx ends.
func watch(ctx context.Context, c *catalog.Catalog) (seen []sight) {
	next := c.View().Revision() + 1
	for c.Await(ctx, next) == nil {
		s := sight{c.View().Revision(), clock()}
		seen, next = append(seen, s), s.Revision+1
	}
	return seen
}

// A follower is the process of an edge.
type follower struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	stderr  bytes.Buffer
}

func startFollower(program string, order edgeOrder) (f *follower, err error) {
	f = &follower{command: exec.Command(program, EdgeCommand)}
	f.command.Stderr = &f.stderr
	f.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for the one who ends them
	if f.in, err = f.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.out = bufio.NewReader(out)
	if err := f.command.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(f.in).Encode(order); err != nil {
		return nil, errors.Join(err, f.kill())
	}
	return f, nil
}

// await returns when the edge shows the revision. When ctx ends first, the process is killed.
func (f *follower) await(ctx context.Context, revision uint64) error {
	defer context.AfterFunc(ctx, func() { _ = f.command.Process.Kill() })()
	want := strconv.FormatUint(revision, 10)
	if _, err := fmt.Fprintln(f.in, want); err != nil {
		return f.ended(err)
	}
	line, err := f.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return f.ended(errors.Join(context.Cause(ctx), err))
	}
	return nil
}

// ended says what became of an edge that does not answer.
func (f *follower) ended(err error) error {
	return fmt.Errorf("it does not show revisions any more: %w: %s", err, f.stderr.String())
}

// end lets the edge end, and returns what it has seen.
func (f *follower) end() (seen []sight, err error) {
	err = f.in.Close()
	err = errors.Join(err, json.NewDecoder(f.out).Decode(&seen))
	if err := errors.Join(err, f.command.Wait()); err != nil {
		return nil, f.ended(err)
	}
	return seen, nil
}

func (f *follower) kill() error {
	_ = f.command.Process.Kill()
	_ = f.command.Wait() // it was killed
	return nil
}
