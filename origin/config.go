package origin

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A Config describes one provider. A duration or count of 0 stands for that of [DefaultConfig], so that a list of
// providers need name only what is special about each.
type Config struct {
	// Name is [a-z0-9-], at most 63 bytes. Versions remember it, so a provider keeps its name for good.
	Name string `yaml:"name"`
	// URL is file:///absolute/path, file://./relative/path, or mem://. An edge's assembly adds its control plane as the
	// last provider: control+http://host:port or control+https://host:port, which is read and never written.
	URL string `yaml:"url"`
	// Token is the bearer token for a control plane, "" for none.
	Token string `yaml:"-"`
	// Timeout is the longest time without progress. It starts anew with every piece of a body that moves, so that a
	// large original on a slow disk is no failure and a stalled one is noticed soon.
	Timeout time.Duration `yaml:"timeout"`
	// MaxConcurrent is the number of operations that may be under way at once; more wait, at most Timeout.
	MaxConcurrent int `yaml:"max_concurrent"`
	// ScratchDir holds the nameless files that originals over 1 MiB are read into, and is created when
	// missing; "" is the system's.
	ScratchDir string `yaml:"scratch_dir"`
	// Breaker is when the provider is left alone.
	Breaker BreakerConfig `yaml:"breaker"`
}

// A BreakerConfig says when a provider is left alone, and for how long. Failures are counted of reads alone.
type BreakerConfig struct {
	// Failures is how many in a row open the breaker. Twice as many do so too when they are half of all reads.
	Failures int `yaml:"failures"`
	// Window is the time after which the counts begin anew.
	Window time.Duration `yaml:"window"`
	// OpenFor is how long the provider is left alone before one read is let through to try it.
	OpenFor time.Duration `yaml:"open_for"`
}

// DefaultConfig returns the provider that a configuration without providers has.
func DefaultConfig() Config {
	return Config{
		Name:          "local",
		URL:           "file://./data/originals",
		Timeout:       10 * time.Second,
		MaxConcurrent: 64,
		Breaker:       BreakerConfig{Failures: 5, Window: time.Minute, OpenFor: 5 * time.Second},
	}
}

// filled returns c with the defaults where it says nothing.
func (c Config) filled() Config {
	d := DefaultConfig()
	fill(&c.Timeout, d.Timeout)
	fill(&c.MaxConcurrent, d.MaxConcurrent)
	fill(&c.Breaker.Failures, d.Breaker.Failures)
	fill(&c.Breaker.Window, d.Breaker.Window)
	fill(&c.Breaker.OpenFor, d.Breaker.OpenFor)
	return c
}

func fill[T comparable](field *T, def T) {
	if *field == *new(T) {
		*field = def
	}
}

// Validate checks a list of providers: each by itself, and that no two have one name.
func Validate(cfgs []Config) error {
	if len(cfgs) == 0 {
		return fmt.Errorf("providers: none given; allowed: one or more")
	}
	seen := map[string]bool{}
	for i, c := range cfgs {
		if err := c.Validate(); err != nil {
			return fmt.Errorf("providers[%d].%w", i, err)
		}
		if seen[c.Name] {
			return fmt.Errorf("providers[%d].name: %q is given twice; allowed: one provider for each name", i, c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// Validate returns an error that names the key, what was given, and what is allowed.
func (c Config) Validate() error {
	if !validName.MatchString(c.Name) {
		return fmt.Errorf("name: %q; allowed: 1 to 63 of a-z, 0-9 and -", c.Name)
	}
	if err := c.validateURL(); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	for key, d := range map[string]time.Duration{
		"timeout": c.Timeout, "breaker.window": c.Breaker.Window, "breaker.open_for": c.Breaker.OpenFor,
	} {
		if d < 0 {
			return fmt.Errorf("%s: %s; allowed: more than 0, or 0 for the default", key, d)
		}
	}
	for key, n := range map[string]int{"max_concurrent": c.MaxConcurrent, "breaker.failures": c.Breaker.Failures} {
		if n < 0 || n > 1<<20 {
			return fmt.Errorf("%s: %d; allowed: 1 to 1048576, or 0 for the default", key, n)
		}
	}
	return nil
}

func (c Config) validateURL() (err error) {
	if c.isControl() {
		_, err = c.control()
	} else {
		_, err = c.place()
	}
	return err
}

// controlMark stands in front of a control plane's URL.
const controlMark = "control+"

func (c Config) isControl() bool { return strings.HasPrefix(c.URL, controlMark) }

// control returns the base of a control plane's management API.
func (c Config) control() (*url.URL, error) {
	u, err := url.Parse(strings.TrimPrefix(c.URL, controlMark))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no control plane; allowed: "+controlMark+"http://host:port, "+controlMark+"https://host:port", c.URL)
	}
	return u, nil
}

// place returns the absolute directory of a file:// provider, "" for mem://.
func (c Config) place() (dir string, err error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q is no URL; allowed: file:///path, mem://", c.URL)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", fmt.Errorf("%q has more than a scheme and a path; allowed: file:///path, mem://", c.URL)
	case u.Scheme == "mem" && u.Host == "" && u.Path == "":
		return "", nil
	case u.Scheme == "mem":
		return "", fmt.Errorf("%q; allowed: mem:// alone", c.URL)
	case u.Scheme != "file":
		return "", fmt.Errorf("%q has the scheme %q; allowed: file://, mem://", c.URL, u.Scheme)
	}
	return fileDir(u, c.URL)
}

// fileDir takes the host "." for a path that is relative, as gocloud.dev/blob does. Any other host is a slip of
// someone who wrote file://data for file://./data, and would silently mean /data.
func fileDir(u *url.URL, given string) (string, error) {
	path := u.Path
	switch u.Host {
	case "", "localhost":
	case ".":
		path = "." + path
	default:
		return "", fmt.Errorf("%q has the host %q; allowed: file:///absolute/path, file://./relative/path", given, u.Host)
	}
	if path == "" || filepath.Clean(path) == "/" {
		return "", fmt.Errorf("%q has no directory; allowed: file:///absolute/path, file://./relative/path", given)
	}
	return filepath.Abs(path)
}
