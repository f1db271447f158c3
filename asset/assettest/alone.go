package assettest

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// Alone runs the test in a process of its own, because it changes what is the whole process's. It reports whether this
// is that process.
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv("ALONE") == t.Name() {
		return true
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), "ALONE="+t.Name())
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// LimitFiles lets no file of this process grow beyond so many bytes, as a full disk would not. It is for tests that run
// [Alone].
func LimitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}); err != nil {
		t.Fatal(err)
	}
}
