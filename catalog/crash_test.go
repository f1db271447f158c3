package catalog

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// crashDir names, in the environment, the directory that a re-executed test binary writes to until it is killed.
const crashDir = "CATALOG_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(dir)
	}
	if path := os.Getenv(nodeConfig); path != "" {
		serveNode(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled commits with 8 writers at once, and says so on standard output after each acknowledgement.
func writeUntilKilled(dir string) {
	cfg := foldEvery(config(dir), 0)
	cfg.foldLimit.journal = 10_000
	folded := func(revision uint64, _ time.Duration) { fmt.Println("folded", revision) }
	c, err := Open(context.Background(), cfg, Events{Folded: folded})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("open")
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("p%d-%d-%d", os.Getpid(), w, i)
				product := putProduct(name)
				owned := putAsset(name, byte(i))
				owned.PutAsset.Owner = name
				if err := try(c, product, owned, putLink(name, "it", name)); err != nil {
					fmt.Println("failed:", err)
				}
				fmt.Println("stored", name) // one write(2) each
			}
		}()
	}
	select {}
}

// kill -9 under load and in the middle of folds, again and again on the same directory: whatever was acknowledged is there
// after the restart, each transaction whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []string
	folds := 0
	for range 10 {
		stored, folded := killOnce(t, dir)
		acknowledged, folds = append(acknowledged, stored...), folds+folded
		c := opened(t, dir)
		for _, name := range acknowledged {
			if _, a, ok := c.View().Lookup(name, "it"); !ok || a.ID != name {
				t.Fatalf("%s was acknowledged and is lost", name)
			}
		}
		if err := c.View().Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged writes, %d folds, none lost", len(acknowledged), folds)
	if len(acknowledged) < 100 || folds < 5 {
		t.Fatal("too few writes to prove anything")
	}
}

// killOnce runs a writer, kills it at some moment, and returns what it said it had stored, and how often it was folded.
func killOnce(t *testing.T, dir string) (stored []string, folds int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch name, ok := strings.CutPrefix(lines.Text(), "stored "); {
		case ok:
			stored = append(stored, name)
		case strings.HasPrefix(lines.Text(), "folded "):
			folds++
		case lines.Text() == "open":
			time.AfterFunc(rand.N(200*time.Millisecond), func() { _ = cmd.Process.Kill() })
		default:
			t.Error(lines.Text())
		}
	}
	_ = cmd.Wait() // killed
	return stored, folds
}
