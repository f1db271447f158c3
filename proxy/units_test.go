package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestDisposition(t *testing.T) {
	check := func(name, want string) {
		t.Helper()
		if got := string(appendDisposition(nil, name)); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	check("report.pdf", `attachment; filename="report.pdf"`)
	check("two words.txt", `attachment; filename="two words.txt"`)
	check(`naïve".jpg`, `attachment; filename="na_ve_.jpg"; filename*=UTF-8''na%C3%AFve%22.jpg`)
	check("100%.txt", `attachment; filename="100_.txt"; filename*=UTF-8''100%25.txt`)
	check("日本", `attachment; filename="__"; filename*=UTF-8''%E6%97%A5%E6%9C%AC`)
	check("a\r\nSet-Cookie: b", `attachment; filename="a__Set-Cookie: b"`)
	check("../../etc/passwd", `attachment; filename=".._.._etc_passwd"`)
	check(`a\b`, `attachment; filename="a_b"`)
	check("gpj\u202e.exe", `attachment; filename="gpj_.exe"`)
	check("\xff\xfe", `attachment; filename="__"`)
	check("..", `attachment; filename="download"`)
}

func FuzzDisposition(f *testing.F) {
	f.Add("a\r\nb\"\\\x00é")
	f.Fuzz(func(t *testing.T, name string) {
		for _, c := range appendDisposition(nil, name) {
			if c < ' ' || c >= 0x7f {
				t.Fatalf("%q lets %#x out", name, c)
			}
		}
	})
}

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-99", int64(10))
	f.Add("bytes=-99999999999999999999", int64(1))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		s, c := parseRange([]byte(header), size)
		if c != unsatisfiable && (s.start < 0 || s.end > size || s.start > s.end || c == partial && s.length() == 0) {
			t.Fatalf("%q of %d: %v %v", header, size, s, c)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("Host: x\r\nAccept: */*\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r request
		before := bytes.Clone(raw)
		if err := readRequest(raw, &r); err == nil {
			r.judge(`"a"`, time.Now())
			r.rangeHolds(`"a"`, time.Now(), time.Now())
		}
		if !bytes.Equal(before, raw) {
			t.Fatal("the raw headers were changed")
		}
	})
}

func TestHeaderValuesCannotEndALine(t *testing.T) {
	if got := string(appendLine(nil, "A", "b\r\nC: d\x00\x7f")); got != "\r\nA: b  C: d  " {
		t.Errorf("%q", got)
	}
}

func TestServerTiming(t *testing.T) {
	spent := [asset.Rooms]time.Duration{asset.Resolving: 1, asset.Transforming: 12*time.Millisecond + 34*time.Microsecond}
	if got := string(appendServerTiming(nil, &spent)); got != "\r\nServer-Timing: resolve;dur=0.000, transform;dur=12.034" {
		t.Error(got)
	}
}

func TestSplitTarget(t *testing.T) {
	check := func(target, path, query string) {
		t.Helper()
		if p, q := splitTarget(target); p != path || q != query {
			t.Errorf("%s: %q %q", target, p, q)
		}
	}
	check("/a/b?c?d", "/a/b", "c?d")
	check("//a/%2F?", "//a/%2F", "")
	check("http://host/a?b", "/a", "b")
	check("http://host", "", "")
	check("*", "*", "")
}

// The memo belongs to the object; a second name of the same bytes with another type is not answered with the first's.
func TestMemoKeepsTypesApart(t *testing.T) {
	o := asset.NewObject(asset.Key{}, "", []byte("x"))
	etag := func() string { return `"e"` }
	first, again := memoOf(o, "text/plain", etag), memoOf(o, "text/plain", etag)
	if first != again {
		t.Error("rendered twice")
	}
	other := memoOf(o, "text/html", etag)
	if !strings.Contains(string(other.lines), "text/html") || !strings.Contains(string(other.lines), "sandbox") {
		t.Error(string(other.lines))
	}
}

func TestAccessLog(t *testing.T) {
	var out bytes.Buffer
	w := newWorld()
	s, err := New(DefaultConfig(), w, w, w, Events{}, slog.New(slog.NewJSONHandler(&out, nil)))
	if err != nil {
		t.Fatal(err)
	}
	direct(s, "/shop/w=10/pic.jpg")
	direct(s, "/"+strings.Repeat("x", 5000))
	lines := strings.SplitAfter(out.String(), "\n")
	var got struct {
		Method, Path, Product, Source, Client string
		Status, Bytes, Revision               int
	}
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "GET" || got.Path != "/shop/w=10/pic.jpg" || got.Product != "shop" || got.Status != 200 ||
		got.Bytes != 2048 || got.Source != "memory" || got.Revision != 42 || got.Client == "" {
		t.Errorf("%+v", got)
	}
	if len(lines[1]) > maxLoggedPath+300 || !strings.Contains(lines[1], `…"`) {
		t.Error("a long path was logged whole")
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	check := func(key string, change func(*Config)) {
		t.Helper()
		cfg := DefaultConfig()
		change(&cfg)
		_, err := New(cfg, nil, nil, nil, Events{}, nil)
		if !errors.Is(err, asset.ErrInvalid) || !strings.Contains(err.Error(), key+": ") || !strings.Contains(err.Error(), "allowed: ") {
			t.Errorf("%s: %v", key, err)
		}
	}
	check("listen", func(c *Config) { c.Listen = "8080" })
	check("max_path_bytes", func(c *Config) { c.MaxPathBytes = 0 })
	check("max_header_bytes", func(c *Config) { c.MaxHeaderBytes = 1 << 30 })
	check("max_connections", func(c *Config) { c.MaxConnections = -1 })
	check("read_timeout", func(c *Config) { c.ReadTimeout = 0 })
	check("idle_timeout", func(c *Config) { c.IdleTimeout = -1 })
	check("write_timeout", func(c *Config) { c.WriteTimeout = 0 })
	check("max_age", func(c *Config) { c.MaxAge = -1 })
}

func TestShutdownBeforeServe(t *testing.T) {
	w := newWorld()
	s, err := New(DefaultConfig(), w, w, w, Events{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestDateInIfRange: a date holds when it is equal and a second old; before that it may stand for two states.
func TestDateInIfRange(t *testing.T) {
	modified := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	r := request{ifRange: []byte("Wed, 04 Mar 2026 05:06:07 GMT")}
	for after, want := range map[time.Duration]bool{0: false, 999 * time.Millisecond: false, time.Second: true, time.Hour: true} {
		if got := r.rangeHolds(`"a"`, modified, modified.Add(after)); got != want {
			t.Errorf("%s after the change: %v", after, got)
		}
	}
}
