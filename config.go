package assetmatrix

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/cache"
	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control"
	"github.com/assetmatrix/assetmatrix/ingest"
	"github.com/assetmatrix/assetmatrix/origin"
	"github.com/assetmatrix/assetmatrix/proxy"
	"github.com/assetmatrix/assetmatrix/resolve"
	"github.com/assetmatrix/assetmatrix/transform"
)

// Config is the whole configuration: each room's own, under the room's key. config.yaml at the root of the repository
// is its documented default.
type Config struct {
	// DataDir is where everything that must survive a restart lives. "{data_dir}" in a provider's URL stands for it.
	DataDir string `yaml:"data_dir"`
	// Role is what this process does: all, control (everything but delivery) or edge (delivery alone).
	Role string `yaml:"role"`
	// ControlURL is the management API of the control plane: where an edge gets snapshots, and the originals that no
	// provider of its own has. Empty: an edge reads the whole log, and has its providers alone.
	ControlURL string `yaml:"control_url"`
	// ControlToken is the bearer token for ControlURL, with the verb replicate.
	ControlToken string `yaml:"control_token"`
	// NATS is where the log of the matrix is.
	NATS catalog.NATSConfig `yaml:"nats"`
	// DrainTimeout is how long answers under way may take to end after SIGTERM.
	DrainTimeout time.Duration    `yaml:"drain_timeout"`
	Log          LogConfig        `yaml:"log"`
	Delivery     proxy.Config     `yaml:"delivery"`
	Control      control.Config   `yaml:"control"`
	Resolve      resolve.Config   `yaml:"resolve"`
	Cache        cache.Config     `yaml:"cache"`
	Render       transform.Config `yaml:"render"`
	Ingest       ingest.Config    `yaml:"ingest"`
	Catalog      catalog.Config   `yaml:"catalog"`
	Providers    []origin.Config  `yaml:"providers"`
	// Products are created at start when they are missing; what is in the matrix already is left as it is.
	Products []asset.Product `yaml:"products"`
}

// The roles.
const (
	RoleAll     = "all"
	RoleControl = "control"
	RoleEdge    = "edge"
)

// LogConfig is what is written to standard error.
type LogConfig struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is json or text.
	Format string `yaml:"format"`
	// Access writes a line for every request.
	Access bool `yaml:"access"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	local := origin.DefaultConfig()
	local.URL = "file://" + dataDirMark + "/originals"
	return Config{
		DataDir:      "./data",
		Role:         RoleAll,
		NATS:         catalog.DefaultConfig().NATS,
		DrainTimeout: 30 * time.Second,
		Log:          LogConfig{Level: "info", Format: "json", Access: true},
		Delivery:     proxy.DefaultConfig(),
		Control:      control.DefaultConfig(),
		Resolve:      resolve.DefaultConfig(),
		Cache:        cache.DefaultConfig(),
		Render:       transform.DefaultConfig(),
		Ingest:       ingest.DefaultConfig(),
		Catalog:      catalog.DefaultConfig(),
		Providers:    []origin.Config{local},
	}
}

const dataDirMark = "{data_dir}"

// LoadConfig reads the file at path over the defaults (an empty path reads none), then the variables of environ that
// name a key: ASSETMATRIX_ and the key's path in capitals, such as ASSETMATRIX_CACHE_DISK_MAX_BYTES. A key that does
// not exist, a value of the wrong type, and a value out of range are errors that name the key, and the line where there
// is one.
func LoadConfig(path string, environ []string) (Config, error) {
	cfg := DefaultConfig()
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return Config{}, fmt.Errorf("config: %w", err)
		}
		if err := decode(text, &cfg); err != nil {
			return Config{}, fmt.Errorf("config: %s: %w", path, err)
		}
	}
	if err := override(reflect.ValueOf(&cfg).Elem(), "ASSETMATRIX", environ); err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	if err := cfg.placed().Validate(); err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return cfg, nil
}

// decode reads one YAML document strictly.
func decode(text []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil // an empty file is all defaults
	}
	if err == nil && !errors.Is(d.Decode(new(yaml.Node)), io.EOF) {
		return errors.New("there is a second document behind ---; allowed: one")
	}
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		said := goTypes.ReplaceAllString(strings.Join(wrong.Errors, "; "), `unknown key "$1"`)
		return errors.New(noDuration.ReplaceAllString(said, "$1 is no duration; allowed: a number with a unit, such as 0s, 30s or 5m"))
	}
	return err
}

// goTypes matches yaml's words for an unknown key, which name a Go type that says nothing to an operator.
var goTypes = regexp.MustCompile(`field (\S+) not found in type \S+`)

// noDuration matches its words for a number without a unit, and for anything else that is no duration.
var noDuration = regexp.MustCompile("cannot unmarshal \\S+ (`.*?`) into time\\.Duration")

// override sets every field of v that a variable names.
func override(v reflect.Value, prefix string, environ []string) error {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		if key == "-" {
			continue
		}
		name := prefix + "_" + strings.ToUpper(key)
		field := v.Field(i)
		if field.Kind() == reflect.Struct {
			if err := override(field, name, environ); err != nil {
				return err
			}
			continue
		}
		text, ok := lookup(environ, name)
		if !ok {
			continue
		}
		if field.Kind() == reflect.String { // as it stands, whatever it would be in YAML
			field.SetString(text)
			continue
		}
		err := decode([]byte(text), field.Addr().Interface())
		if err != nil && strings.HasSuffix(name, "_TOKENS") { // err, too, would show secrets
			return fmt.Errorf("%s: cannot be read; allowed: a YAML list of tokens", name)
		}
		if err != nil {
			return fmt.Errorf("%s: %q cannot be used: %w", name, text, err)
		}
	}
	return nil
}

func lookup(environ []string, name string) (string, bool) {
	for i := len(environ) - 1; i >= 0; i-- { // the last one wins, as in os/exec
		if text, ok := strings.CutPrefix(environ[i], name+"="); ok {
			return text, true
		}
	}
	return "", false
}

// placed returns c with what stands for DataDir, or for a place below it, filled in.
func (c Config) placed() Config {
	c.Render.Command = []string{"/proc/self/exe", WorkerCommand} // the very binary that runs, were its file replaced
	c.Catalog.Dir, c.Catalog.NATS, c.Catalog.Role = filepath.Join(c.DataDir, "catalog"), c.NATS, c.Role
	c.Cache.Disk.Epoch = transform.Epoch
	c.Cache.Disk.Dir = cmp.Or(c.Cache.Disk.Dir, filepath.Join(c.DataDir, "cache"))
	c.Ingest.SpoolDir = cmp.Or(c.Ingest.SpoolDir, filepath.Join(c.DataDir, "spool"))
	c.Providers = slices.Clone(c.Providers)
	if c.Role == RoleEdge && c.ControlURL != "" {
		p := origin.DefaultConfig()
		p.Name, p.URL, p.Token = "control", "control+"+strings.TrimRight(c.ControlURL, "/"), c.ControlToken
		c.Providers = append(c.Providers, p)
	}
	for i := range c.Providers {
		p := &c.Providers[i]
		p.URL = strings.ReplaceAll(p.URL, dataDirMark, fileURLPath(c.DataDir))
		p.ScratchDir = cmp.Or(p.ScratchDir, c.Ingest.SpoolDir)
	}
	return c
}

// fileURLPath spells a directory as it stands behind file://, where a relative path begins with a dot.
func fileURLPath(dir string) string {
	if filepath.IsAbs(dir) {
		return filepath.Clean(dir)
	}
	return "./" + filepath.Clean(dir)
}

// Validate returns what is wrong with c; the error names the key, what was given and what is allowed.
func (c Config) Validate() error {
	var errs []error
	check := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", key, err))
		}
	}
	if c.DataDir == "" {
		errs = append(errs, asset.BadKey("data_dir", "empty", "a directory"))
	}
	errs = append(errs, c.validateControlURL())
	if c.DrainTimeout < 0 {
		errs = append(errs, asset.BadKey("drain_timeout", c.DrainTimeout, "0s or more"))
	}
	check("log", c.Log.Validate())
	check("delivery", c.Delivery.Validate())
	check("control", c.Control.Validate())
	check("resolve", c.Resolve.Validate())
	check("cache", c.Cache.Validate())
	check("render", c.Render.Validate())
	check("ingest", c.Ingest.Validate())
	if err := c.Catalog.Validate(); err != nil && atTheTop(err) {
		errs = append(errs, err)
	} else {
		check("catalog", err)
	}
	if err := origin.Validate(c.Providers); err != nil {
		errs = append(errs, err)
	}
	named := map[string]bool{}
	for i := range c.Products {
		if name := c.Products[i].Name; named[name] {
			errs = append(errs, fmt.Errorf("products[%d].name: %q is given twice; allowed: one product for each name", i, name))
		}
		named[c.Products[i].Name] = true
		errs = append(errs, pointed(fmt.Sprintf("products[%d]", i), c.Products[i].Validate()))
	}
	return errors.Join(errs...)
}

// atTheTop returns whether a key of the catalog does not stand below "catalog".
func atTheTop(err error) bool {
	f, ok := errors.AsType[*asset.Fault](err)
	return ok && (f.Part == "role" || strings.HasPrefix(f.Part, "nats."))
}

func (c Config) validateControlURL() error {
	if c.ControlURL == "" {
		return nil
	}
	u, err := url.Parse(c.ControlURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return asset.BadKey("control_url", strconv.Quote(c.ControlURL), "http://host:port or https://host:port")
	}
	return nil
}

// pointed turns the JSON pointer of a record's fault into the path of a key.
func pointed(key string, err error) error {
	var f *asset.Fault
	if !errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("%s%s: %w", key, strings.ReplaceAll(f.Part, "/", "."), err)
}

// Validate returns what is wrong with c.
func (c LogConfig) Validate() error {
	if _, err := c.level(); err != nil {
		return err
	}
	if c.Format != "json" && c.Format != "text" {
		return asset.BadKey("format", strconv.Quote(c.Format), "json, text")
	}
	return nil
}
