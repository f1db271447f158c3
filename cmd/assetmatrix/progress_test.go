package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal returns a pseudo terminal, and what reads what was written to it so far.
func terminal(t *testing.T) (screen *os.File, shown func() string) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	t.Cleanup(func() { _ = control.Close() })
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return screen, func() string {
		b := make([]byte, 4096) // as much as a pseudo terminal keeps
		n, _ := unix.Read(int(control.Fd()), b)
		return string(b[:max(n, 0)])
	}
}

// A bar is shown to people alone, to them only when it takes long, and it is gone at the end.
func TestProgress(t *testing.T) {
	screen, shown := terminal(t)
	for _, total := range []int64{10 << 20, -1} {
		soon := newProgress("copying", total, screen)
		_, _ = soon.Write(make([]byte, 5<<20))
		soon.end()
		if s := shown(); s != "" {
			t.Errorf("a fast transfer shows %q", s)
		}
		late := newProgressFrom("copying", total, screen, time.Now().Add(-time.Minute))
		if n, err := late.Write(make([]byte, 5<<20)); n != 5<<20 || err != nil {
			t.Error(n, err)
		}
		if s := shown(); !strings.Contains(s, "copying") || !strings.Contains(s, "5.2") {
			t.Errorf("a slow transfer shows %q", s)
		}
		late.end()
		if s := shown(); !strings.HasSuffix(s, "\r") {
			t.Errorf("the bar stays: %q", s)
		}
	}
	var file bytes.Buffer
	quiet := newProgressFrom("copying", 10, &file, time.Time{})
	_, _ = io.Copy(quiet, strings.NewReader("more than was said"))
	if quiet.end(); file.Len() != 0 {
		t.Errorf("what is no terminal gets %q", file.String())
	}
}
