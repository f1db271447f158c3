package bench

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// rival starts a server of Debian's, and ends it with the test.
func rival(t *testing.T, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		path, err = exec.LookPath("/usr/sbin/" + program)
	}
	if err != nil {
		t.Fatalf("%v; run scripts/deps test, which installs it", err)
	}
	log := new(strings.Builder)
	c := exec.Command(path, args...)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil || t.Failed() {
			t.Logf("%s: %v, %s", program, err, log)
		}
	})
}

var placeholder = regexp.MustCompile(`@[A-Z]+@`)

// configured fills in a configuration of bench/peers as scripts/bench-peers does.
func configured(t *testing.T, name, to string, values ...string) (path string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("peers", name))
	if err != nil {
		t.Fatal(err)
	}
	done := strings.NewReplacer(values...).Replace(string(text))
	for line := range strings.Lines(done) {
		if !strings.HasPrefix(line, "#") && placeholder.MatchString(line) {
			t.Errorf("%s has something to fill in: %s", name, line)
		}
	}
	path = filepath.Join(to, name)
	if err := os.WriteFile(path, []byte(done), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listens waits until somebody listens at an address.
func listens(t *testing.T, address string) {
	t.Helper()
	for range 500 {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("nobody listens at %s", address)
}

// nginx and Varnish, as they are configured for scripts/bench-peers, are counted beside the program in every mode, with their
// versions and the CPU time of all their processes.
func TestRivals(t *testing.T) {
	r, dir := testRun(t), t.TempDir()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"files", "tmp", "varnish"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.Origin = nobody(t)
	static, cache, varnish := nobody(t), nobody(t), nobody(t)
	conf := configured(t, "nginx.conf", dir, "@DIR@", dir, "@USER@", me.Username, "@STATIC@", static, "@CACHE@", cache, "@ORIGIN@", r.Origin)
	host, port, err := net.SplitHostPort(r.Origin)
	if err != nil {
		t.Fatal(err)
	}
	vcl := configured(t, "varnish.vcl", dir, "@HOST@", host, "@PORT@", port)
	rival(t, "nginx", "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	rival(t, "varnishd", "-j", "none", "-F", "-a", varnish, "-f", vcl, "-s", "malloc,16m", "-n", filepath.Join(dir, "varnish"))
	for _, address := range []string{static, cache, varnish} {
		listens(t, address)
	}
	r.Peers = []Peer{{"nginx", "http://" + static}, {"nginx-cache", "http://" + cache}, {"varnish", "http://" + varnish}}
	if err := hits(t.Context(), r, tinyHit); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	for _, p := range r.Peers {
		if said := r.report.counted(t, p.Name); said != "yes" {
			t.Errorf("%s: %s", p.Name, said)
		}
		for _, mode := range hitModes {
			name := "hit_" + mode.name + "_2k"
			if v := r.report.value(t, name+"_per_second_"+figureName(p.Name)); v <= 0 {
				t.Errorf("%s of %s: %v", name, p.Name, v)
			}
			r.report.value(t, name+"_per_second_ratio_"+figureName(p.Name))
			r.report.value(t, name+"_cpu_us_"+figureName(p.Name))
		}
	}
	who := r.report.Tables[2]
	for i, want := range [][2]string{{"nginx/", "nginx × "}, {"nginx/", "nginx × "}, {"(Varnish/", "varnishd × 2"}} {
		if row := who.Rows[i+1]; !strings.Contains(row[2], want[0]) || !strings.Contains(row[3], want[1]) {
			t.Errorf("%q, want %q", row, want)
		}
	}
}
