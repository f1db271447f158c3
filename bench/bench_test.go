package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix"
	"github.com/assetmatrix/assetmatrix/transform"
)

// The scenario of restarts executes this test binary as the program, and that executes it as a render worker.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == assetmatrix.WorkerCommand:
		if err := transform.Work(os.NewFile(3, "render-socket")); err != nil {
			os.Exit(1)
		}
	case len(os.Args) > 1 && os.Args[1] == "serve":
		os.Exit(serve(os.Args[2:]))
	default:
		os.Exit(m.Run())
	}
}

func serve(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if len(args) != 2 || args[0] != "--role" {
		return 2
	}
	cfg, err := assetmatrix.LoadConfig("", append(os.Environ(), "ASSETMATRIX_ROLE="+args[1]))
	if err != nil {
		return 2
	}
	system, err := assetmatrix.New(ctx, cfg, "test", os.Stderr)
	if err == nil {
		err = system.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// testRun is a run of a scenario in a directory of the test.
func testRun(t *testing.T) *run {
	t.Helper()
	r, err := newRun("test", Options{Dir: t.TempDir(), Version: "v1", Progress: func(Progress) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.place.remove() })
	return r
}

// value returns the figure, which must be there once and be a number.
func (r *Report) value(t *testing.T, name string) float64 {
	t.Helper()
	var found []float64
	for _, f := range r.Figures {
		if f.Name == name {
			found = append(found, f.Value)
		}
	}
	if len(found) != 1 || math.IsNaN(found[0]) || math.IsInf(found[0], 0) {
		t.Fatalf("figure %s has the values %v", name, found)
	}
	return found[0]
}

func TestReportJSON(t *testing.T) {
	var r Report
	r.Scenario = "commits"
	r.Environment = Environment{CPU: "an EPYC", Cores: 2, FileSystem: "ext4"}
	r.atLeast("transactions_per_second", 19_999, "1/s", 20_000)
	r.atMost("visible_p50_ms", 1.5, "ms", 2)
	r.figure("transactions_per_second_1_writer", 1_900, "1/s")
	r.table(Table{Title: "not for programs"})
	text, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Scenario    string
		Environment map[string]any
		Figures     []map[string]any
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, key := range []string{"cpu", "cores", "memory_bytes", "kernel", "go", "file_system", "version"} {
		if _, ok := got.Environment[key]; !ok {
			t.Errorf("the environment has no %s: %s", key, text)
		}
	}
	want := []map[string]any{
		{"name": "transactions_per_second", "value": 19_999.0, "unit": "1/s", "target": 20_000.0, "met": false},
		{"name": "visible_p50_ms", "value": 1.5, "unit": "ms", "target": 2.0, "met": true},
		{"name": "transactions_per_second_1_writer", "value": 1_900.0, "unit": "1/s", "target": nil, "met": nil},
	}
	for i, f := range want {
		for key, value := range f {
			if has, ok := got.Figures[i][key]; !ok || has != value || len(got.Figures[i]) != len(f) {
				t.Errorf("figure %d: %s is %v, want %v", i, key, has, value)
			}
		}
	}
}

func TestReportPrint(t *testing.T) {
	r := Report{Scenario: "sync", Environment: Environment{CPU: "an EPYC", Cores: 2, MemoryBytes: 25e9, Kernel: "6.1", Go: "go1.26", FileSystem: "ext4", Version: "v1", Quick: true}}
	r.atMost("visible_p50_ms", 1.23456, "ms", 2)
	r.atLeast("transactions_per_second", 12_345.6, "1/s", 20_000)
	r.median("edges", samples{63, 65, 64}, "edges")
	r.table(Table{Title: "Behind it", Head: []string{"A", "B"}, Rows: [][]string{{"1", "2"}}})
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	want := "Unit 1/s better=higher\ngoos: " + runtime.GOOS + "\ngoarch: " + runtime.GOARCH + `
pkg: github.com/assetmatrix/assetmatrix/bench
cpu: an EPYC

BenchmarkSync/visible_p50_ms 1 1.23456 ms
BenchmarkSync/transactions_per_second 1 12345.6 1/s
BenchmarkSync/edges 1 63 edges
BenchmarkSync/edges 1 65 edges
BenchmarkSync/edges 1 64 edges

sync on an EPYC, 2 cores, 25 GB, Linux 6.1, ext4, go1.26; assetmatrix v1, quick

FIGURE                   VALUE   SPREAD  UNIT   TARGET    MET
visible_p50_ms           1.23            ms     ≤ 2       yes
transactions_per_second  12,346          1/s    ≥ 20,000  no
edges                    64      63–65   edges

Behind it
A  B
1  2
`
	if out.String() != want {
		t.Errorf("printed\n%swant\n%s", out.String(), want)
	}
	if err := r.Print(failingWriter{}); err == nil {
		t.Error("a report that could not be written")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.0001234: "0.000123", 0.5: "0.5", 1.234: "1.23", 12.34: "12.3", 999: "999", 1000: "1,000", 1234567.8: "1,234,568", -1234: "-1,234", -123456: "-123,456", -0.5: "-0.5",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) is %s, want %s", v, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	for _, name := range []string{
		"hit", "render", "family", "burst", "mixed", "overload", "sync", "commits", "catalog", "matrix", "soak",
	} {
		if s, ok := Find(name); !ok || s.Name != name || s.Short == "" || strings.Contains(s.Short, "\n") {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if _, ok := Find("nonsense"); ok {
		t.Error("there is a scenario nonsense")
	}
}

// Of a run that was interrupted nothing counts but that, and what could not be taken away.
func TestUnlessEnded(t *testing.T) {
	consequence, stays := errors.New("connection reset"), leftover{errors.New("the target keeps the product x")}
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{t.Context(), consequence, "connection reset"},
		{ended, consequence, "it was interrupted"},
		{ended, askedWrongly("x is not reached: %w", context.Canceled), "it was interrupted"},
		{ended, errors.Join(consequence, stays), "it was interrupted\nthe target keeps the product x"},
	} {
		if got := unlessEnded(c.ctx, c.err); got.Error() != c.want || errors.Is(got, ErrAsked) {
			t.Errorf("%q is %q, want %q", c.err, got, c.want)
		}
	}
	if unlessEnded(ended, nil) != nil {
		t.Error("a run that was finished is interrupted")
	}
}

// A run leaves nothing behind, whether it ends well, fails, or is interrupted.
func TestRunRemovesItsData(t *testing.T) {
	failure := errors.New("failed")
	for name, want := range map[string]error{"well": nil, "fails": failure, "interrupted": context.Canceled} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, interrupt := context.WithCancel(t.Context())
			s := Scenario{Name: name, measure: func(ctx context.Context, r *run) error {
				r.report.figure("one", 1, "")
				if err := os.WriteFile(r.path("data"), []byte("data"), 0o600); err != nil {
					return err
				}
				if name == "interrupted" {
					interrupt()
					return sleepUntil(ctx, time.Now().Add(time.Hour))
				}
				return want
			}}
			report, err := s.Run(ctx, Options{Dir: dir})
			if !errors.Is(err, want) || (len(report.Figures) > 0 && report.Figures[0].Name == "one") != (want == nil) {
				t.Errorf("%+v, %v", report, err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestRunWithoutAPlace(t *testing.T) {
	s, _ := Find("commits")
	if _, err := s.Run(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "missing")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// What cannot have been meant is said before anything is written.
func TestRunRefuses(t *testing.T) {
	refuses := func(o Options, says ...string) {
		t.Helper()
		s := Scenario{Name: "one", measure: func(context.Context, *run) error {
			t.Errorf("%+v is measured", o)
			return nil
		}}
		o.Dir = t.TempDir()
		_, err := s.Run(t.Context(), o)
		asked(t, err, says...)
		if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	for _, rate := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1), 1e9} {
		refuses(Options{Rate: rate}, "bench one: --rate is ", "give requests a second, 0.1 to 1,000,000")
	}
	refuses(Options{Lasts: -time.Second}, "--lasts is -1s; give a time such as 10m")
	refuses(Options{Peers: []Peer{{"nginx", "http://a"}, {"nginx-2", "http://b"}, {"nginx", "http://b"}}}, "two peers nginx", "such as nginx-2")
}

func TestTimed(t *testing.T) {
	r := testRun(t)
	var seen []Progress
	r.Progress = func(p Progress) { seen = append(seen, p) }
	r.timed("loading", time.Hour)()
	if last := seen[len(seen)-1]; last != (Progress{"loading", 100, 100}) {
		t.Errorf("the last is %+v", last)
	}
}

func TestEnvironment(t *testing.T) {
	e := testRun(t).report.Environment
	if e.CPU == "" || e.Cores < 1 || e.MemoryBytes < 1<<20 || e.Kernel == "" || e.FileSystem == "unknown" || !strings.HasPrefix(e.Go, "go") && !strings.HasPrefix(e.Go, "devel") || e.Version != "v1" {
		t.Errorf("%+v", e)
	}
}

func TestFileSystem(t *testing.T) {
	if kind, err := FileSystem("/proc/self"); err != nil || kind != "proc" {
		t.Errorf("/proc/self is on %s, %v", kind, err)
	}
	if _, err := FileSystem("/nowhere/at/all"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	const mounts = `21 1 254:0 / / rw - ext4 /dev/vda rw
22 21 0:5 / /dev rw,nosuid shared:2 - devtmpfs dev rw
23 21 0:9 / /mnt/my\040disk rw - xfs /dev/sdb rw
24 21 0:9 / /mnt/twice rw - xfs /dev/sdb rw
25 24 0:7 / /mnt/twice rw - tmpfs tmpfs rw
torn line
`
	for path, want := range map[string]string{
		"/": "ext4", "/home": "ext4", "/dev": "devtmpfs", "/dev/shm": "devtmpfs", "/device": "ext4", "/mnt/my disk/a": "xfs", "/mnt/twice/b": "tmpfs",
	} {
		if got := mountedAt([]byte(mounts), path); got != want {
			t.Errorf("%s is on %s, want %s", path, got, want)
		}
	}
}
