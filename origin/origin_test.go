package origin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A log keeps the events.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(words ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.Join(words, " "))
}

func (l *log) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Join(l.lines, ", ")
	l.lines = nil
	return lines
}

func (l *log) events() Events {
	return Events{
		Read:           func(provider, outcome string, _ time.Duration) { l.add(provider, outcome) },
		BreakerChanged: func(provider string, s State) { l.add(provider, "is", s.String()) },
		Corrupt:        func(provider string, _ asset.Key) { l.add(provider, "lies") },
	}
}

// openTwo opens providers a and b on files.
func openTwo(t *testing.T) (p *Providers, a, b string, l *log) {
	t.Helper()
	a, b, l = filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), &log{}
	p, err := Open(t.Context(), []Config{{Name: "a", URL: "file://" + a}, {Name: "b", URL: "file://" + b}}, l.events())
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p, a, b, l
}

func TestProvidersPutLoadDelete(t *testing.T) {
	p, a, b, l := openTwo(t)
	o := original(100)
	names, err := p.Put(t.Context(), o)
	must(t, err)
	if !slices.Equal(names, []string{"a"}) || len(files(t, a)) != 1 || len(files(t, b)) != 0 {
		t.Errorf("stored at %q", names)
	}

	trace := &asset.Trace{Context: t.Context()}
	got, err := p.Load(trace, o.Key)
	must(t, err)
	got.Release()
	if trace.Source != asset.Providing || trace.Spent[asset.Providing] <= 0 {
		t.Errorf("the trace is %+v", trace)
	}
	if events := l.take(); events != "a hit" {
		t.Errorf("events: %s", events)
	}

	must(t, p.Delete(t.Context(), o.Key, names))
	wantError(t, loadError(t, p, o.Key), asset.ErrNotFound)
	if events := l.take(); events != "a missing, b missing" {
		t.Errorf("events: %s", events)
	}
	wantError(t, p.Delete(t.Context(), o.Key, []string{"a", "gone", "b"}), asset.ErrUnavailable)
}

func TestProvidersFailOver(t *testing.T) {
	p, a, b, l := openTwo(t)
	o := original(100)
	must(t, p.list[1].bucket.Put(t.Context(), o))
	must(t, loadError(t, p, o.Key))
	if events := l.take(); events != "a missing, b hit" {
		t.Errorf("missing at a: %s", events)
	}

	must(t, p.list[0].bucket.Put(t.Context(), o))
	must(t, os.WriteFile(pathOf(a, o.Key), []byte("lies"), 0o644))
	must(t, loadError(t, p, o.Key))
	if events := l.take(); events != "a corrupt, a lies, b hit" {
		t.Errorf("corrupt at a: %s", events)
	}

	must(t, os.Rename(a, a+".away"))
	must(t, loadError(t, p, o.Key))
	if events := l.take(); events != "a error, b hit" {
		t.Errorf("a is gone: %s", events)
	}

	must(t, p.list[1].bucket.Delete(t.Context(), o.Key))
	wantError(t, loadError(t, p, o.Key), asset.ErrUnavailable) // a may have it
	must(t, os.Rename(b, b+".away"))
	wantError(t, loadError(t, p, o.Key), asset.ErrUnavailable)

	must(t, os.Rename(a+".away", a))
	must(t, os.Rename(b+".away", b))
	err := loadError(t, p, o.Key)
	wantError(t, err, asset.ErrCorrupt)
	wantError(t, err, asset.ErrUnavailable)
}

func TestProvidersStates(t *testing.T) {
	p, a, _, l := openTwo(t)
	must(t, os.Rename(a, a+".away"))
	for range DefaultConfig().Breaker.Failures {
		_ = loadError(t, p, key)
	}
	if !strings.Contains(l.take(), "a is open") {
		t.Error("nobody was told that a's breaker opened")
	}
	wantError(t, loadError(t, p, key), asset.ErrUnavailable)
	if events := l.take(); events != "b missing" {
		t.Errorf("a is left alone: %s", events)
	}
	if s := p.States(); s["a"] != StateOpen || s["b"] != StateClosed || len(s) != 2 {
		t.Errorf("states are %v", s)
	}
	_, err := p.Put(t.Context(), original(1))
	wantError(t, err, asset.ErrUnavailable)
}

func TestProvidersRefuseRenditions(t *testing.T) {
	p, _, _, l := openTwo(t)
	k := asset.Key{Variant: asset.Variant{Width: 100, Format: asset.WebP}}
	wantError(t, loadError(t, p, k), asset.ErrInvalid)
	if events := l.take(); events != "" {
		t.Errorf("events: %s", events)
	}
}

func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if _, err := Open(t.Context(), []Config{{Name: "a", URL: "mem://"}, {Name: "b", URL: "file://" + file}}, Events{}); err == nil {
		t.Error("opened a file as a directory")
	}
	if _, err := Open(t.Context(), nil, Events{}); err == nil {
		t.Error("opened no providers")
	}
}

func TestConfigDefaults(t *testing.T) {
	must(t, DefaultConfig().Validate())
	if got := (Config{Name: "local", URL: DefaultConfig().URL}).filled(); got != DefaultConfig() {
		t.Errorf("the defaults are filled in as %+v", got)
	}
}

func TestValidate(t *testing.T) {
	valid := func(url string) { t.Helper(); must(t, Config{Name: "p", URL: url}.Validate()) }
	valid("file:///srv/originals")
	valid("file://localhost/srv/originals")
	valid("file://./data/originals")
	valid("file:///srv/with%20space")
	valid("mem://")

	invalid := func(words string, cfgs ...Config) {
		t.Helper()
		err := Validate(cfgs)
		if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "allowed: ") {
			t.Errorf("error is %v, want one that says %q and what is allowed", err, words)
		}
	}
	for _, url := range []string{"", "file://", "file:///", "file://data/originals", "file:///a?metadata=", "mem://x", "s3://bucket", "%", "data/originals"} {
		invalid("providers[0].url", Config{Name: "p", URL: url})
	}
	invalid(`"s3"`, Config{Name: "p", URL: "s3://bucket"})
	for _, name := range []string{"", "A", "a_b", strings.Repeat("a", 64)} {
		invalid("providers[0].name", Config{Name: name, URL: "mem://"})
	}
	invalid("providers[1].name", Config{Name: "p", URL: "mem://"}, Config{Name: "p", URL: "mem://"})
	invalid("providers[0].timeout", Config{Name: "p", URL: "mem://", Timeout: -1})
	invalid("providers[0].max_concurrent", Config{Name: "p", URL: "mem://", MaxConcurrent: -1})
	invalid("providers[0].breaker.failures", Config{Name: "p", URL: "mem://", Breaker: BreakerConfig{Failures: -1}})
	invalid("providers: none")
}
