package assetmatrix

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// TestKilledWorker: a worker that dies or stands still in the middle of a render costs one answer, and a retry is good.
func TestKilledWorker(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(sig.String(), func(t *testing.T) {
			s := boot(t, func(c *Config) {
				c.Render.Workers = 1
				c.Render.Timeout = 8 * time.Second
			})
			s.put("shop", "a.jpg", picture(t, 4, 2400, 1600))
			const url = "/shop/w=2000,f=avif,q=90/a.jpg"
			before := workers(t)
			answered := make(chan answer, 1)
			go func() {
				a, _ := s.ask(http.MethodGet, s.delivery+url, nil)
				answered <- a
			}()
			victim := busyWorker(t)
			if err := syscall.Kill(victim, sig); err != nil {
				t.Fatal(err)
			}
			a := <-answered
			if want := map[syscall.Signal]int{syscall.SIGKILL: 503, syscall.SIGSTOP: 504}[sig]; a.Response == nil || a.StatusCode != want || a.Header.Get("Retry-After") == "" {
				t.Fatalf("the render whose worker got %v was answered with %v, want %d with Retry-After", sig, a.Response, want)
			}
			s.get("/shop/w=100,f=jpeg/a.jpg").is(t, 200)
			s.get(url).is(t, 200)
			eventually(t, "the victim is gone and replaced", func() bool {
				now := workers(t)
				return len(now) == len(before) && !slices.Contains(now, victim)
			})
		})
	}
}

// workers returns the pids of this process's children that render.
func workers(t *testing.T) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, _ := os.ReadFile(task) // a thread may end meanwhile
		for _, field := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(field)
			if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); bytes.Contains(line, []byte(WorkerCommand)) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// busyWorker waits until a worker has spent a tenth of a second of CPU time from now on, and returns its pid.
func busyWorker(t *testing.T) (pid int) {
	t.Helper()
	base := map[int]int{}
	for _, p := range workers(t) {
		base[p] = cpuTicks(p)
	}
	eventually(t, "a worker renders", func() bool {
		for p, ticks := range base {
			if cpuTicks(p) >= ticks+10 {
				pid = p
				return true
			}
		}
		return false
	})
	return pid
}

// cpuTicks is the user time of a process in hundredths of a second.
func cpuTicks(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(text), ") ")
	if !ok {
		return 0
	}
	ticks, _ := strconv.Atoi(strings.Fields(rest)[11])
	return ticks
}

// TestServerMemoryIsFlat: the server's own memory does not grow with the pictures that pass through it.
func TestServerMemoryIsFlat(t *testing.T) {
	s := start(t, t.TempDir())
	s.product("shop")
	s.put("shop", "small.jpg", flat(t, 1000, 1000))
	s.get("/shop/w=900,f=png/small.jpg").is(t, 200)
	peak := peakBytes(t, s.process.Process.Pid)
	s.put("shop", "large.jpg", flat(t, 9000, 6000)) // 54 MP, 162 MB decoded
	s.get("/shop/w=8000,f=png/large.jpg").is(t, 200)
	s.get("/shop/w=200,rotate=90,f=webp/large.jpg").is(t, 200)
	if grown := peakBytes(t, s.process.Process.Pid) - peak; grown > 64<<20 {
		t.Errorf("the server's peak memory grew by %d MiB with a picture of 54 MP", grown>>20)
	}
}

// flat is a JPEG of one colour.
func flat(t *testing.T, width, height int) []byte {
	t.Helper()
	img := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = 120
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// peakBytes is the largest resident size that a process had.
func peakBytes(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// TestRefusals: every 4xx says what was wrong and what would be right, in the words of the server alone.
func TestRefusals(t *testing.T) {
	s := boot(t, nil)
	s.put("shop", "a.jpg", picture(t, 5, 400, 300))
	s.put("shop", "a.txt", []byte("just text\n"))
	for _, c := range []struct {
		path   string
		status int
		says   []string
	}{
		{"/none/w=1/a.jpg", 404, []string{"none", "product"}},
		{"/shop/w=1/b.jpg", 404, []string{"b.jpg", "name"}},
		{"/shop/wdith=1/a.jpg", 400, []string{"wdith", "width"}},
		{"/shop/w=0/a.jpg", 400, []string{"width", "1–8192"}},
		{"/shop/w=8193/a.jpg", 400, []string{"width", "1–8192"}},
		{"/shop/w=1,width=2/a.jpg", 400, []string{"width", "twice"}},
		{"/shop/fit=stretch/a.jpg", 400, []string{"fit", "squeeze"}},
		{"/shop/q=101/a.jpg", 400, []string{"quality", "1–100"}},
		{"/shop/f=bmp/a.jpg", 400, []string{"format", "avif"}},
		{"/shop/w=,h=2/a.jpg", 400, []string{"width"}},
		{"/shop/thumb/a.jpg", 400, []string{"thumb"}},
		{"/shop/page=2/a.jpg", 400, []string{"page", "1"}},
		{"/shop/v=2/a.jpg", 404, []string{"version"}},
		{"/shop/w=10,h=10,ar=1:1/a.jpg", 400, []string{"aspect"}},
		{"/shop/rect=90000:0:1:1/a.jpg", 400, []string{"rect", "outside"}},
		{"/shop/wm=nope.png/a.jpg", 404, []string{"watermark", "nope.png"}},
		{"/shop/w=10,text=%E6%97%A5/a.jpg", 400, []string{"text", "日"}},
		{"/shop/f=webp,mb=1/a.jpg", 400, []string{"max-bytes", "bytes"}},
		{"/shop/w=10/a.txt", 415, []string{"text/plain", "original"}},
		{"/shop/w=10/../a.jpg", 400, []string{"name"}},
		{"/shop/w=10/a%2Fb.jpg", 400, []string{"name"}},
		{"/shop/w=10/a%252e.jpg", 400, []string{"name"}},
		{"/", 404, []string{"options"}},
	} {
		req, err := http.NewRequest(http.MethodGet, s.delivery, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = c.path // exactly as it stands
		resp, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		_, _ = b.ReadFrom(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s %s, want %d: %s", c.path, resp.Status, resp.Header.Get("Content-Type"), c.status, b.String())
		}
		for _, word := range c.says {
			if !strings.Contains(b.String(), word) {
				t.Errorf("%s: the problem does not say %q: %s", c.path, word, b.String())
			}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		a, err := s.ask(method, s.delivery+"/shop/w=1/a.jpg", nil)
		if err != nil || a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: %v, %v", method, a.Response, err)
		}
	}
}

// TestRefusedUploads: a refused upload says why, and leaves nothing behind.
func TestRefusedUploads(t *testing.T) {
	s := boot(t, func(c *Config) {
		c.Ingest.MaxBytes = 1 << 20
		c.Render.MaxPixels = 2_000_000
	})
	whole := picture(t, 6, 600, 400)
	for name, c := range map[string]struct {
		content []byte
		options client.PutOptions
		status  int
		says    []string
	}{
		"empty":                {nil, client.PutOptions{}, 400, []string{"empty"}},
		"truncated":            {whole[:len(whole)/2], client.PutOptions{}, 422, []string{"damaged", "truncated", "decode", "cut"}},
		"damaged header":       {append([]byte("\xff\xd8\xff\xe0"), bytes.Repeat([]byte{0}, 100)...), client.PutOptions{}, 422, nil},
		"not what it declares": {whole, client.PutOptions{MediaType: "image/png"}, 415, []string{"image/png"}},
		"text named jpg":       {[]byte("hello, this is text"), client.PutOptions{}, 415, []string{"text/plain"}},
		"over the bytes":       {make([]byte, 1<<20+1), client.PutOptions{}, 413, []string{"1048576"}},
		"over the pixels":      {flat(t, 2000, 1200), client.PutOptions{}, 413, []string{"2000", "1200"}},
		"stale version":        {whole, client.PutOptions{IfVersion: 3}, 412, nil},
	} {
		before := s.left()
		_, err := s.PutAsset(t.Context(), "shop", "bad.jpg", bytes.NewReader(c.content), int64(len(c.content)), c.options)
		problem, ok := err.(*asset.Problem)
		if !ok || problem.Status != c.status {
			t.Errorf("%s: %v, want a problem with status %d", name, err, c.status)
			continue
		}
		said := len(c.says) == 0 && problem.Detail != ""
		for _, word := range c.says {
			said = said || strings.Contains(problem.Error(), word)
		}
		if !said {
			t.Errorf("%s: the problem says none of %q: %v", name, c.says, problem)
		}
		if after := s.left(); after != before {
			t.Errorf("%s: the refused upload left something: %s, then %s", name, before, after)
		}
	}
	if _, err := s.PutAsset(t.Context(), "none", "a.jpg", bytes.NewReader(whole), int64(len(whole)), client.PutOptions{}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown product: %v", err)
	}
}

// left says what an upload could leave behind.
func (s *site) left() string {
	return fmt.Sprint(s.metric("assetmatrix_catalog_revision"), files(s.t, filepath.Join(s.dir, "originals")), files(s.t, filepath.Join(s.dir, "spool")))
}

// TestDrain: SIGTERM lets the answer that is being made be sent, and then the process ends with 0.
func TestDrain(t *testing.T) {
	s := start(t, t.TempDir())
	s.product("shop")
	s.put("shop", "a.jpg", picture(t, 7, 2400, 1600))
	answered := make(chan answer, 1)
	go func() {
		a, _ := s.ask(http.MethodGet, s.delivery+"/shop/w=1500,f=avif/a.jpg", nil)
		answered <- a
	}()
	eventually(t, "the render has begun", func() bool { return s.metric("assetmatrix_cache_misses_total") >= 1 })
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if a := <-answered; a.Response == nil || a.StatusCode != 200 || int64(len(a.body)) != a.ContentLength {
		t.Errorf("the answer that was being made: %+v", a.Response)
	}
	if err := s.process.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
}

func TestReadiness(t *testing.T) {
	s := boot(t, nil)
	for _, path := range []string{"/livez", "/readyz"} {
		a, err := s.ask(http.MethodGet, s.control+path, nil)
		if err != nil || a.StatusCode != 200 {
			t.Errorf("%s: %v, %v", path, a.Response, err)
		}
	}
}

// TestSecondServerOnOneDirectory is refused, and says why.
func TestSecondServerOnOneDirectory(t *testing.T) {
	s := boot(t, nil)
	cfg := testConfig(s.dir)
	if _, err := New(context.Background(), cfg, "test", io.Discard); err == nil || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second server on the same data_dir: %v", err)
	}
}
