package bench

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell starts a script that writes its first line when it is as far as the test wants it, and ends it with the test.
func shell(t *testing.T, script string, files ...*os.File) *exec.Cmd {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", script)
	c.ExtraFiles = files
	in, err := c.StdinPipe() // its end ends read(1)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = c.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return c
}

// A server of several processes is all of them, and what they have started.
func TestTreeListening(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	a, b := shell(t, "echo; read end", socket), shell(t, "exec 4<&0; sh -c 'read end; true' <&4 3<&- & echo; wait", socket)
	mine, err := treeListening(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{os.Getpid(), a.Process.Pid, b.Process.Pid} {
		if !mine.roots[pid] {
			t.Errorf("%v has no %d", mine.roots, pid)
		}
	}
	members, err := mine.members()
	if err != nil || len(members) != 4 || len(mine.roots) != 3 {
		t.Errorf("%d members of %v, %v", len(members), mine.roots, err)
	}
	if names := mine.names(); !strings.Contains(names, filepath.Base(os.Args[0])) || !strings.Contains(names, "sh × 3") {
		t.Errorf("names %s", names)
	}
	if n, err := mine.descriptors(); err != nil || n < 10 {
		t.Errorf("%d descriptors, %v", n, err)
	}
}

func TestTreeElsewhere(t *testing.T) {
	free, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"192.0.2.1:80", "example.com:80", free} {
		if _, err := treeListening(address); !errors.Is(err, errElsewhere) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000"} {
		if _, err := treeListening(address); err == nil || errors.Is(err, errElsewhere) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// The CPU time grows with work, and has that of children that have ended.
func TestTreeCPU(t *testing.T) {
	const work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
	cpu := func(of *exec.Cmd) time.Duration {
		t.Helper()
		used, err := treeOf(of.Process.Pid).cpu()
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	idle, busy := shell(t, "echo; read end"), shell(t, work+"; echo; read end")
	parent := shell(t, "sh -c '"+work+"; true'; echo; read end")
	if cpu(idle) >= cpu(busy) || cpu(idle) >= cpu(parent) {
		t.Errorf("idle %v, busy %v, with a child that was %v", cpu(idle), cpu(busy), cpu(parent))
	}
}

// The most that a tree has is what its processes have at the same time. They are others than this one, whose heap may have
// room already for what a test puts into it.
func TestTreeMemory(t *testing.T) {
	const grows = 64 << 20
	now := filepath.Join(t.TempDir(), "now")
	holder := shell(t, fmt.Sprintf("echo; while ! [ -e %s ]; do sleep 0.05; done; x=$(head -c %d /dev/zero | tr '\\0' x); read end", now, grows))
	its := treeOf(holder.Process.Pid)
	before, err := its.rss()
	if err != nil || before < 1<<17 || before > grows/2 {
		t.Fatalf("%d bytes, %v", before, err)
	}
	used, err := its.use(t.Context(), func() error {
		if err := os.WriteFile(now, nil, 0o600); err != nil {
			return err
		}
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(samplePause) {
			if has, err := its.rss(); err != nil || has > before+grows*3/4 {
				return err
			}
		}
		return errors.New("it has not grown")
	})
	if err != nil || !used.known || used.peakRSS < before+grows/2 {
		t.Errorf("%+v after %d bytes, %v", used, before, err)
	}
	if gone := treeOf(1 << 30); gone.names() != "" {
		t.Errorf("there is a process %s", gone.names())
	}
}

// Of a subject on another machine nothing is known, and what it does is done all the same.
func TestTreeUnknown(t *testing.T) {
	failure := errors.New("failed")
	if used, err := (*tree)(nil).use(t.Context(), func() error { return failure }); !errors.Is(err, failure) || used.known {
		t.Errorf("%+v, %v", used, err)
	}
	if _, err := treeOf(os.Getpid()).use(t.Context(), func() error { return failure }); !errors.Is(err, failure) {
		t.Error(err)
	}
}
