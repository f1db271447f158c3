package assetmatrix

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/transform"
)

// The tests in this file and its neighbours run the real assembly: real listeners on loopback, real files, an embedded
// NATS server, libvips in worker processes. Where a process has to die, it is this test binary run again as a server.

const serveCommand = "serve-for-a-test"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == WorkerCommand:
		exit(transform.Work(os.NewFile(3, "render-socket")))
	case len(os.Args) == 3 && os.Args[1] == serveCommand:
		exit(serveForTest(os.Args[2]))
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveForTest serves from the data directory until SIGTERM, and says its addresses on standard output.
func serveForTest(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := testConfig(dir)
	if err := override(reflect.ValueOf(&cfg).Elem(), "ASSETMATRIX", os.Environ()); err != nil {
		return err
	}
	system, err := New(ctx, cfg, "test", os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(system.DeliveryAddr(), system.ControlAddr())
	return system.Run(ctx)
}

func testConfig(dir string) Config {
	cfg := DefaultConfig()
	cfg.DataDir = dir
	cfg.Delivery.Listen, cfg.Control.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Log.Access = false
	return cfg
}

// A site is a server that a test talks to.
type site struct {
	*client.Client
	t                 testing.TB
	dir               string
	delivery, control string
	http              *http.Client
	process           *exec.Cmd // nil when it runs in this process
}

func newSite(t testing.TB, dir, delivery, control string) *site {
	c, err := client.New("http://" + control)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &site{Client: c, t: t, dir: dir, delivery: "http://" + delivery, control: "http://" + control, http: &http.Client{Transport: transport, Timeout: time.Minute}}
}

// boot runs a server in this process, with a product "shop", until the test ends.
func boot(t testing.TB, change func(*Config)) *site {
	t.Helper()
	cfg := testConfig(t.TempDir())
	if change != nil {
		change(&cfg)
	}
	ctx, stop := context.WithCancel(t.Context())
	system, err := New(ctx, cfg, "test", t.Output())
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- system.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the server did not stop in good order: %v", err)
		}
	})
	s := newSite(t, cfg.DataDir, system.DeliveryAddr().String(), system.ControlAddr().String())
	s.product("shop")
	return s
}

// start runs a server in a process of its own; env sets keys of its configuration.
func start(t testing.TB, dir string, env ...string) *site {
	t.Helper()
	cmd := exec.Command(os.Args[0], serveCommand, dir)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	delivery, control, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok {
		t.Fatalf("the server said %q, %v", line, err)
	}
	s := newSite(t, dir, delivery, control)
	s.process = cmd
	return s
}

// kill ends the process as a crash would.
func (s *site) kill() {
	s.t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	_ = s.process.Wait()
}

func (s *site) product(name string) {
	s.t.Helper()
	if _, err := s.PutProduct(s.t.Context(), name, client.ProductSpec{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) put(product, name string, content []byte) client.Receipt {
	s.t.Helper()
	receipt, err := s.PutAsset(s.t.Context(), product, name, bytes.NewReader(content), int64(len(content)), client.PutOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

// An answer is a response with its body.
type answer struct {
	*http.Response
	body []byte
}

// get asks the front door; header is pairs.
func (s *site) get(path string, header ...string) answer {
	s.t.Helper()
	a, err := s.ask(http.MethodGet, s.delivery+path, nil, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *site) ask(method, url string, body io.Reader, header ...string) (answer, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	return answer{resp, got}, err
}

// ok fails the test unless the answer has the status.
func (a answer) is(t testing.TB, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %s, want %d: %.300s", a.Request.Method, a.Request.URL.Path, a.Status, status, a.body)
	}
	return a
}

// metric returns the sum of a metric's samples whose labels hold every one of the given pairs (`tier="disk"`).
func (s *site) metric(name string, labels ...string) float64 {
	s.t.Helper()
	a, err := s.ask(http.MethodGet, s.control+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(string(a.body)) {
		m := sample.FindStringSubmatch(line)
		if m == nil || m[1] != name {
			continue
		}
		matches := true
		for _, label := range labels {
			matches = matches && strings.Contains(m[2], label)
		}
		if matches {
			value, err := strconv.ParseFloat(m[3], 64)
			if err != nil {
				s.t.Fatal(err)
			}
			sum += value
		}
	}
	return sum
}

var sample = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? (\S+)`)

// photo is a 12-megapixel JPEG, drawn once.
var photo = sync.OnceValue(func() []byte {
	jpg, err := corpus.JPEG(corpus.Landscape(4, 4000, 3000), 88)
	if err != nil {
		panic(err)
	}
	return jpg
})

// picture is a small one.
func picture(t testing.TB, seed uint64, width, height int) []byte {
	t.Helper()
	jpg, err := corpus.JPEG(corpus.Landscape(seed, width, height), 85)
	if err != nil {
		t.Fatal(err)
	}
	return jpg
}

// size is the pixel size of a JPEG or PNG.
func size(t testing.TB, content []byte) image.Point {
	t.Helper()
	c, _, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return image.Pt(c.Width, c.Height)
}

// files lists the regular files below dir, the lock and scratch files of its owners left out.
func files(t testing.TB, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func decodeJSON[T any](t testing.TB, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	return v
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
