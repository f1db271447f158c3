package assetmatrix

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/transform"
)

func TestConfigFileIsTheDefault(t *testing.T) {
	got, err := LoadConfig("config.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Products = []asset.Product{} // the file shows the key with an empty list
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config.yaml is not DefaultConfig():\n got %+v\nwant %+v", got, want)
	}
}

// TestConfigFileHasEveryKey: a key that is not in the file is one that nobody finds.
func TestConfigFileHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(reflect.TypeOf(Config{})) {
		if !strings.Contains(string(text), key+":") {
			t.Errorf("config.yaml does not show the key %s", key)
		}
	}
}

func keys(typ reflect.Type) (all []string) {
	for i := range typ.NumField() {
		field := typ.Field(i)
		key, inner := field.Tag.Get("yaml"), field.Type
		if key == "-" {
			continue
		}
		all = append(all, key)
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			all = append(all, keys(inner)...)
		}
	}
	return all
}

func TestEnvironmentSetsKeys(t *testing.T) {
	cfg, err := LoadConfig("", []string{
		"ASSETMATRIX_DELIVERY_LISTEN=127.0.0.1:1234",
		"ASSETMATRIX_CACHE_DISK_MAX_BYTES=2097152",
		"ASSETMATRIX_RENDER_TIMEOUT=3s",
		"ASSETMATRIX_DATA_DIR=/srv/first",
		"ASSETMATRIX_DATA_DIR=/srv/last",
		"ASSETMATRIX_SERVICE_HOST=10.0.0.1", // Kubernetes sets such for a service of our name
		"PATH=/bin",
		"ASSETMATRIX_INGEST_SPOOL_DIR=#a: b", // a text is taken as it stands
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Delivery.Listen != "127.0.0.1:1234" || cfg.Cache.Disk.MaxBytes != 2<<20 || cfg.Render.Timeout != 3*time.Second || cfg.DataDir != "/srv/last" || cfg.Ingest.SpoolDir != "#a: b" {
		t.Errorf("the environment was not taken: %+v", cfg)
	}
	if got, want := cfg.placed().Providers[0].URL, "file:///srv/last/originals"; got != want {
		t.Errorf("provider URL %s, want %s", got, want)
	}
}

func TestEnvironmentBeatsFile(t *testing.T) {
	path := write(t, "delivery: {listen: \":1\"}")
	cfg, err := LoadConfig(path, []string{"ASSETMATRIX_DELIVERY_LISTEN=:2"})
	if err != nil || cfg.Delivery.Listen != ":2" {
		t.Errorf("listen %q, %v; want :2", cfg.Delivery.Listen, err)
	}
}

// TestBadConfig: each error names the key or the line, and what is wrong with it.
func TestBadConfig(t *testing.T) {
	for text, want := range map[string][]string{
		"data_dri: x":                                 {"line 1", `unknown key "data_dri"`},
		"cache:\n  memory:\n    max_byte: 1":          {"line 3", `unknown key "max_byte"`},
		"cache: {memory: {max_bytes: lots}}":          {"line 1", "lots"},
		"cache: {memory: {max_bytes: -1}}":            {"cache.memory.max_bytes", "-1", "allowed"},
		"cache: {disk: {max_bytes: 1}}":               {"cache.disk.max_bytes", "allowed"},
		"delivery: {listen: nonsense}":                {"delivery.listen", "nonsense", "allowed"},
		"delivery: {idle_timeout: -1s}":               {"delivery.idle_timeout", "allowed"},
		"control: {listen: 0.0.0.0:9090}":             {"control.listen", "0.0.0.0", "loopback"},
		"resolve: {max_output_pixels: 0}":             {"resolve.max_output_pixels", "allowed"},
		"render: {queue: 0}":                          {"render.queue", "allowed"},
		"render: {derive: -1}":                        {"render.derive", "-1", "off, on"},
		"render:\n  derive: fast":                     {"line 2", "fast"},
		"render: {workers: -1}":                       {"render.workers", "-1", "allowed"},
		"ingest: {max_bytes: 0}":                      {"ingest.max_bytes", "allowed"},
		"catalog: {commit_timeout: 0s}":               {"catalog.commit_timeout", "allowed"},
		"log: {level: loud}":                          {"log.level", "loud", "debug"},
		"log: {format: xml}":                          {"log.format", "xml", "json, text"},
		"role: primary":                               {"role", "primary", "all, control, edge"},
		"role: edge":                                  {"nats.url", "empty"},
		"control_url: edge":                           {"control_url", "edge", "http://host:port"},
		"nats: {replicas: 2}":                         {"nats.replicas", "2", "1, 3"},
		"nats: {listen: \":4222\"}":                   {"nats.listen", "password"},
		"data_dir: ''":                                {"data_dir", "allowed"},
		"drain_timeout: -1s":                          {"drain_timeout", "allowed"},
		"drain_timeout: soon":                         {"line 1", "soon"},
		"providers: []":                               {"providers", "allowed"},
		"providers: [{name: a, url: 'ftp://x'}]":      {"providers[0].url", "ftp", "file"},
		"providers: [{name: A, url: 'mem://'}]":       {"providers[0].name", `"A"`, "allowed"},
		"products: [{name: 'Bad Name'}]":              {"products[0].name", "Bad Name", "a-z"},
		"products: [{name: x, presets: {w: q=1}}]":    {"products[0].presets.w", "allowed"},
		"products: [{name: x, presets: {t: w=no}}]":   {"products[0].presets.t", "width"},
		"products: [{name: x, client_hints: maybe}]":  {"line 1", "maybe", "bool"},
		"products: [{name: x, colour: red}]":          {"line 1", `unknown key "colour"`},
		"ingest:\n  garbage:\n    interval: 3600":     {"line 3", "`3600` is no duration", "30s"},
		"delivery: [":                                 {"line 1"},
		"data_dir: a\n---\ndata_dir: b":               {"second document"},
		"products: [{name: x}, {name: y}, {name: x}]": {"products[2].name", "twice"},
	} {
		_, err := LoadConfig(write(t, text), nil)
		if err == nil {
			t.Errorf("%q was taken", text)
			continue
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: the error does not say %q: %v", text, part, err)
			}
		}
	}
}

// TestDeriveIsOnOffOrANumber: as the file and the environment spell it.
func TestDeriveIsOnOffOrANumber(t *testing.T) {
	for text, want := range map[string]transform.Derivations{"on": 1, "off": 0, "0": 0, "3": 3} {
		cfg, err := LoadConfig(write(t, "render: {derive: "+text+"}"), nil)
		if err != nil || cfg.Render.Derive != want {
			t.Errorf("%s is %d, %v; want %d", text, cfg.Render.Derive, err, want)
		}
		cfg, err = LoadConfig("", []string{"ASSETMATRIX_RENDER_DERIVE=" + text})
		if err != nil || cfg.Render.Derive != want {
			t.Errorf("%s in the environment is %d, %v; want %d", text, cfg.Render.Derive, err, want)
		}
	}
}

func TestBadEnvironment(t *testing.T) {
	_, err := LoadConfig("", []string{"ASSETMATRIX_RENDER_TIMEOUT=soon"})
	if err == nil || !strings.Contains(err.Error(), "ASSETMATRIX_RENDER_TIMEOUT") || !strings.Contains(err.Error(), "soon") {
		t.Errorf("error %v does not name the variable and its value", err)
	}
}

func TestMissingConfigFile(t *testing.T) {
	if _, err := LoadConfig(filepath.Join(t.TempDir(), "none.yaml"), nil); err == nil {
		t.Error("a file that does not exist was taken")
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
