package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/assetmatrix/assetmatrix/catalog"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// A store speaks S3's API on a socket.
type store struct {
	t       *testing.T
	backend *s3mem.Backend
	inner   http.Handler // the API over backend
	url     string
	refuse  atomic.Pointer[http.HandlerFunc] // answers instead of inner
	inParts atomic.Int64                     // uploads in parts
}

const secret = "not-to-be-shown"

// newStore returns a store with the bucket "backups", for which the environment has the credentials and nothing else.
func newStore(t *testing.T) *store {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "key-" + secret, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	s := &store{t: t, backend: s3mem.New()}
	s.inner = gofakes3.New(s.backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
			s.inParts.Add(1)
		}
		if refuse := s.refuse.Load(); refuse != nil {
			(*refuse)(w, r)
			return
		}
		s.inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	if err := s.backend.CreateBucket("backups"); err != nil {
		t.Fatal(err)
	}
	return s
}

// at returns the URL of an object.
func (s *store) at(path string) string {
	return "s3://" + path + "?region=eu-central-1&use_path_style=true&endpoint=" + url.QueryEscape(s.url)
}

func (s *store) put(key string, content []byte) {
	s.t.Helper()
	if _, err := s.backend.PutObject("backups", key, nil, bytes.NewReader(content), int64(len(content)), nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) get(key string) []byte {
	s.t.Helper()
	o, err := s.backend.GetObject("backups", key, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = o.Contents.Close() }()
	content, err := io.ReadAll(o.Contents)
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

// holds fails the test unless these are the keys in the bucket, and no part of anything else is left.
func (s *store) holds(keys ...string) {
	s.t.Helper()
	list, err := s.backend.ListBucket("backups", nil, gofakes3.ListBucketPage{})
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, o := range list.Contents {
		found = append(found, o.Key)
	}
	if strings.Join(found, " ") != strings.Join(keys, " ") {
		s.t.Errorf("the bucket holds %q, want %q", found, keys)
	}
	resp, err := http.Get(s.url + "/backups?uploads")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if none := bytes.Contains(text, []byte("<Code>NoSuchUpload")); err != nil || resp.StatusCode != http.StatusOK && !none || bytes.Contains(text, []byte("<Upload>")) {
		s.t.Errorf("%s, %v: %s", resp.Status, err, text)
	}
}

func TestBackupInBucket(t *testing.T) {
	s := newStore(t)
	serving(t)
	shop(t)
	want := decoded(t, do(t, "list", "shop", "--json").ok(t).out)
	place := s.at("backups/daily/the%20matrix")
	s.put("daily/the matrix", []byte("an older one"))
	do(t, "backup", place).ok(t, "revision", "hash", "epoch", "size")
	m := parsed[client.Manifest](t, do(t, "backup", place, "--json"))
	s.holds("daily/the matrix")
	whole := s.get("daily/the matrix")
	if v, err := catalog.VerifyBackup(bytes.NewReader(whole)); err != nil || v.Revision != m.Revision || v.Hash != m.Hash {
		t.Fatalf("%+v, %v, want %+v", v, err, m)
	}

	empty := config(t)
	s.put("cut", whole[:len(whole)-1])
	whole[len(whole)/2] ^= 1
	s.put("flipped", whole)
	for _, broken := range []string{"cut", "flipped"} {
		do(t, "restore", s.at("backups/"+broken), "--config", empty).fails(t, 1, "corrupt")
	}
	r := parsed[client.Manifest](t, do(t, "restore", place, "--config", empty, "--json"))
	if r.Revision != m.Revision || r.Hash != m.Hash {
		t.Errorf("%+v, want %+v", r, m)
	}
	do(t, "restore", place, "--config", empty).fails(t, 1, "empty")
	servingWith(t, empty)
	if got := decoded(t, do(t, "list", "shop", "--json").ok(t).out); len(got.Assets) != 1 || got.Assets[0] != want.Assets[0] || got.Revision < want.Revision {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBackupAtFileURL(t *testing.T) {
	serving(t)
	dir := t.TempDir()
	m := parsed[client.Manifest](t, do(t, "backup", "file://"+dir+"/the%20matrix", "--json"))
	info, err := os.Stat(filepath.Join(dir, "the matrix"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	do(t, "restore", "file://localhost"+dir+"/the%20matrix", "--config", config(t)).ok(t, m.Hash.String())
	do(t, "backup", "file:///none/matrix").fails(t, 1, "/none")
	do(t, "restore", "file:///none/matrix", "--config", config(t)).fails(t, 1, "/none/matrix")
}

// Neither a server that breaks off nor bytes that are no backup replace the object that is there.
func TestBrokenBackupIsNotInBucket(t *testing.T) {
	s := newStore(t)
	s.put("matrix", []byte("an older one"))
	for says, answer := range map[string]http.HandlerFunc{
		"no backup": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", client.ManifestHeader)
			fmt.Fprint(w, "backup")
			w.Header().Set(client.ManifestHeader, "{}")
		},
		"unexpected EOF": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "assetmatrix")
		},
	} {
		server := httptest.NewServer(answer)
		do(t, "backup", s.at("backups/matrix"), "--server", server.URL).fails(t, 1, says)
		do(t, "backup", s.at("backups/new"), "--server", server.URL).fails(t, 1, says)
		server.Close()
	}
	do(t, "backup", s.at("backups/new"), "--server", "http://127.0.0.1:1").fails(t, 1, "unavailable")
	s.holds("matrix")
	if left := s.get("matrix"); string(left) != "an older one" {
		t.Errorf("%q", left)
	}
}

// many is more than an upload in one part has.
const many = 40 << 20

// writing writes n bytes and returns err.
func writing(n int, err error) func(io.Writer) (client.Manifest, error) {
	return func(w io.Writer) (client.Manifest, error) {
		chunk := bytes.Repeat([]byte("matrix"), 10_000)
		for written := 0; written < n; written += len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return client.Manifest{}, fmt.Errorf("writing: %w", err)
			}
		}
		return client.Manifest{}, err
	}
}

func uploaded(ctx context.Context, s *store, receive func(io.Writer) (client.Manifest, error)) error {
	s.t.Helper()
	_, o, err := parsePlace(ctx, s.at("backups/matrix"))
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = o.write(ctx, receive)
	return err
}

func TestUploadInParts(t *testing.T) {
	s := newStore(t)
	if err := uploaded(t.Context(), s, writing(many, nil)); err != nil || s.inParts.Load() != 1 {
		t.Fatal(err, s.inParts.Load())
	}
	s.holds("matrix")
	if n := len(s.get("matrix")); n < many {
		t.Error(n)
	}
}

// An upload that breaks off leaves nothing, whether it is small or in parts, and whoever breaks it off.
func TestBrokenUpload(t *testing.T) {
	failed := errors.New("it is not whole")
	for _, size := range []int{0, 1, many} {
		s := newStore(t)
		if err := uploaded(t.Context(), s, writing(size, failed)); !errors.Is(err, failed) {
			t.Errorf("%d bytes: %v", size, err)
		}
		s.holds()

		ctx, interrupt := context.WithCancel(t.Context())
		err := uploaded(ctx, s, func(w io.Writer) (client.Manifest, error) {
			m, err := writing(size, nil)(w)
			interrupt()
			return m, err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes, interrupted: %v", size, err)
		}
		s.holds()
		if inParts := s.inParts.Load(); inParts != 0 && size < many || inParts != 2 && size == many {
			t.Errorf("%d bytes: %d uploads in parts", size, inParts)
		}
	}
}

// answers makes the store answer every request with this.
func (s *store) answers(status int, code string) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>The reason.</Message></Error>", code)
	})
	s.refuse.Store(&refuse)
}

// What a store has against an upload or a download is said, with the name of the object and without anything secret.
func TestStoreRefuses(t *testing.T) {
	s := newStore(t)
	serving(t)
	empty := config(t)
	refused := func(place, says string) {
		t.Helper()
		name, _, _ := strings.Cut(place, "?")
		for _, o := range []outcome{do(t, "backup", place), do(t, "restore", place, "--config", empty)} {
			o.fails(t, 1, name+": ", says)
			if strings.Contains(o.errs, secret) {
				t.Errorf("a secret is shown: %s", o.errs)
			}
		}
	}
	refused(s.at("elsewhere/matrix"), "no such bucket")
	refused(strings.Replace(s.at("backups/matrix"), url.QueryEscape(s.url), "http://127.0.0.1:1", 1), "connection refused")
	do(t, "restore", s.at("backups/none"), "--config", empty).fails(t, 1, "s3://backups/none: there is no such object")
	refused("s3://backups/matrix", "egion")
	s.answers(http.StatusForbidden, "AccessDenied")
	refused(s.at("backups/matrix"), "do not allow it")
	s.answers(http.StatusForbidden, "InvalidAccessKeyId")
	refused(s.at("backups/matrix"), "InvalidAccessKeyId: The reason.")
	s.answers(http.StatusServiceUnavailable, "SlowDown")
	refused(s.at("backups/matrix"), "SlowDown")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	refused(s.at("backups/matrix"), "credentials")
	s.refuse.Store(nil)
	s.holds()
}

// A store that fails in the midst of an upload is why the backup failed, not the pipe that it broke.
func TestStoreBreaksOff(t *testing.T) {
	s := newStore(t)
	refusal := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodDelete {
			panic(http.ErrAbortHandler)
		}
		s.inner.ServeHTTP(w, r)
	})
	err := uploaded(t.Context(), s, func(w io.Writer) (client.Manifest, error) {
		if m, err := writing(many/2, nil)(w); err != nil {
			return m, err
		}
		s.refuse.Store(&refusal)
		return writing(2*many, nil)(w)
	})
	if err == nil || !strings.HasPrefix(err.Error(), "s3://backups/matrix: ") {
		t.Error(err)
	}
	s.refuse.Store(nil)
	s.holds()
}

func TestPlaces(t *testing.T) {
	newStore(t)
	for place, says := range map[string]string{
		"s3://":                                "names no object",
		"s3://backups":                         "names no object",
		"s3://backups/":                        "names no object",
		"s3://backups/daily/":                  "names no object",
		"s3:///matrix":                         "names no object",
		"s3://b/m#1":                           "%23",
		"s3://b/m%":                            "percent-encoded",
		"s3://b/a/../m":                        "../",
		"s3://b/m%0a":                          "control",
		"gs://b/m":                             "allowed: s3://",
		"mem://m":                              "allowed: s3://",
		"https://b/m":                          "allowed: s3://",
		"file://dir/m":                         "file:///path",
		"file://":                              "file:///path",
		"file:///m?metadata=x":                 "file:///path",
		"s3://id:" + secret + "@b/m":           "AWS_SECRET_ACCESS_KEY",
		"s3://b/m?secret_access_key=" + secret: "allowed: accelerate, anonymous",
		"s3://b/m?endpoint=http://id:" + secret + "@127.0.0.1":         "AWS_SECRET_ACCESS_KEY",
		"s3://b/m?endpoint=" + secret + ":9000":                        "https://host:port",
		"s3://b/m?endpoint=http://":                                    "https://host:port",
		"s3://b/m?region=%zz":                                          "cannot be read",
		"s3://b/m?use_path_style=maybe":                                "use_path_style",
		"s3://b/m?ssetype=none":                                        "ssetype",
		"s3://b/m?request_checksum_calculation=x":                      "when_required",
		"s3://b/m?profile=nobody":                                      "nobody",
		"s3://b/m?region=x&secret=" + secret + "&response_checksum=no": "there is no parameter",
	} {
		for _, o := range []outcome{do(t, "backup", place), do(t, "restore", place, "--config", config(t))} {
			o.fails(t, 2, says)
			if strings.Contains(o.errs, secret) {
				t.Errorf("%s: a secret is shown: %s", place, o.errs)
			}
		}
	}
}
