package bench

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// ErrAsked says that a run was asked for wrongly: the message says what would be right.
var ErrAsked = errors.New("asked wrongly")

// askedWrongly is an error that is [ErrAsked] and reads as the format says.
func askedWrongly(format string, a ...any) error { return wrongly{fmt.Errorf(format, a...)} }

type wrongly struct{ error }

func (w wrongly) Unwrap() []error { return []error{w.error, ErrAsked} }

// ownName is the program's in tables.
const ownName = "assetmatrix"

// A subject is a server that is measured: the program itself, or a peer.
type subject struct {
	name    string
	base    string // URL
	grammar grammar
	tree    *tree // nil of one on another machine
	version string
	api     *client.Client // of the program itself
	control string         // its management API's URL, and the token for it
	token   string
	out     error // why it is not counted any more
}

func (s *subject) own() bool { return s.api != nil }

// A field is the subjects of a scenario, the program itself first.
type field struct {
	*run
	product  string // that the bench makes
	subjects []*subject
	origin   *origin
	booted   []*server
	defined  []string // products on a target, which stays, to be taken away
}

// openField starts the program with the settings, or takes the target, and looks for the peers. Nothing stays when that
// fails.
func openField(ctx context.Context, r *run, settings ...string) (_ *field, err error) {
	f := &field{run: r, product: "bench-" + randomHex()}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if f.origin, err = startOrigin(cmp.Or(r.Origin, "127.0.0.1:0")); err != nil {
		return nil, askedWrongly("the peers' origin cannot listen: %w; give --origin a free address such as 127.0.0.1:8090", err)
	}
	own, err := f.target(ctx, settings...)
	if own != nil {
		f.subjects = append(f.subjects, own) // what was stored there already is taken away
	}
	if err != nil {
		return nil, err
	}
	for _, p := range r.Peers {
		s := &subject{name: p.Name, base: p.URL, grammar: p.grammar()}
		if err := s.meet(ctx); err != nil {
			return nil, err
		}
		f.subjects = append(f.subjects, s)
	}
	return f, nil
}

func randomHex() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// target is the program that is measured: the one that was named, or one that is started.
func (f *field) target(ctx context.Context, settings ...string) (*subject, error) {
	if f.Target == "" {
		return f.boot(ctx, ownName, settings...)
	}
	api, err := client.New(f.Server)
	if err != nil {
		return nil, askedWrongly("--server: %w", err)
	}
	s := &subject{name: ownName, base: f.Target, grammar: f.ownPath, api: api.WithToken(f.Token).WaitingForEdges(), control: f.Server, token: f.Token}
	if err := s.meet(ctx); err != nil {
		return nil, err
	}
	if f.Trace != "" {
		return s, nil // it asks for what is there
	}
	if err := f.define(ctx, s); err != nil {
		return s, err
	}
	return s, f.belongs(ctx, s)
}

// belongsTimeout is how long what was stored may take until a target shows it.
const belongsTimeout = 5 * time.Second

// belongs holds the management API to be that of the front door: what is stored by the one is seen at the other.
func (f *field) belongs(ctx context.Context, s *subject) error {
	picture, err := corpus.PNG(corpus.Badge(16))
	if err != nil {
		return err
	}
	const name = "probe.png"
	if _, err := put(ctx, s.api, f.product, name, picture); err != nil {
		return f.notTaken(name, err)
	}
	for end := time.Now().Add(belongsTimeout); ; {
		_, err := askOnce(ctx, &shot{url: s.base + "/" + f.product + "/info/" + name, status: http.StatusOK, length: anyLength})
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return askedWrongly("what is stored by %s (--server) is not seen at %s (--target): %w; give the management API of the same system", f.Server, f.Target, err)
		}
		if err := sleepUntil(ctx, time.Now().Add(100*time.Millisecond)); err != nil {
			return err
		}
	}
}

// boot starts the program as a subject, with a data directory of its own.
func (f *field) boot(ctx context.Context, name string, settings ...string) (*subject, error) {
	f.progress("starting "+name, 0, 1)
	server, err := startServer(ctx, f.Program, "all", f.path(fmt.Sprint("server-", len(f.booted))), append([]string{"ASSETMATRIX_LOG_ACCESS=false"}, settings...)...)
	if err != nil {
		return nil, err
	}
	f.booted = append(f.booted, server)
	if _, err := server.ready(ctx); err != nil {
		return nil, err
	}
	api, err := client.New("http://" + server.control)
	if err != nil {
		return nil, err
	}
	s := &subject{
		name: name, base: "http://" + server.front, grammar: f.ownPath, api: api, control: "http://" + server.control, tree: treeOf(server.command.Process.Pid), version: f.Version,
	}
	return s, f.define(ctx, s)
}

// define makes the product that the bench owns.
func (f *field) define(ctx context.Context, s *subject) error { return f.defineAs(ctx, s, f.product) }

func (f *field) defineAs(ctx context.Context, s *subject, name string) error {
	_, err := s.api.PutProduct(ctx, name, client.ProductSpec{Presets: presets})
	if f.Target == "" {
		return err
	}
	if err != nil {
		return askedWrongly("the target's management API at %s (--server, --token-file) does not take a product: %w; give --server the address at which the target's management API listens (control.listen), and a token that may write if it asks for one", f.Server, err)
	}
	f.defined = append(f.defined, name)
	return nil
}

// ownPath is the program's own grammar.
func (f *field) ownPath(_ string, w want) (string, error) {
	options := "original"
	if w.width > 0 {
		options = fmt.Sprintf("f=%s,q=%d,w=%d", w.format, w.quality, w.width)
	}
	return "/" + f.product + "/" + options + "/" + client.EscapeName(w.file), nil
}

// meet looks whether anybody answers, who that says to be, and which processes it is.
func (s *subject) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return askedWrongly("%s at %s is not reached: %w; start it, or leave it out", s.name, s.base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16)) // what it says of itself may be incomplete
	s.version = versionOf(resp.Header, body)
	u, err := url.Parse(s.base)
	if err != nil {
		return err
	}
	s.tree, err = treeListening(hostport(u))
	if err != nil && !errors.Is(err, errElsewhere) {
		return fmt.Errorf("the processes of %s: %w", s.name, err)
	}
	return nil
}

func hostport(u *url.URL) string {
	if u.Port() == "" {
		return u.Host + ":80"
	}
	return u.Host
}

// versionOf is what a server says of its version: imagor at its root, Varnish in Via, others in Server.
func versionOf(header http.Header, body []byte) string {
	var imagor struct{ Imagor struct{ Version string } }
	if json.Unmarshal(body, &imagor) == nil && imagor.Imagor.Version != "" {
		return "imagor " + imagor.Imagor.Version
	}
	if via := header.Get("Via"); strings.Contains(strings.ToLower(via), "varnish") {
		return via
	}
	return cmp.Or(header.Get("Server"), header.Get("X-Powered-By"), "it does not say")
}

// store gives a file to every subject: the program's own get it by upload, peers find it at the origin.
func (f *field) store(ctx context.Context, file corpus.File) error {
	f.origin.add(file.Name, file.Type, file.Data)
	for _, s := range f.subjects {
		if !s.own() {
			continue
		}
		if _, err := s.api.PutAsset(ctx, f.product, file.Name, bytes.NewReader(file.Data), int64(len(file.Data)), client.PutOptions{}); err != nil {
			return f.notTaken(file.Name, err)
		}
	}
	return nil
}

// notTaken is the error that the program has not taken a file.
func (f *field) notTaken(name string, err error) error {
	switch {
	case !refused(err):
		return fmt.Errorf("store %s: %w", name, err)
	case f.Corpus != "":
		return askedWrongly("--corpus: the program does not take %s: %w; take it out of the directory", name, err)
	case f.Target != "":
		return askedWrongly("the target does not take a picture by %s (--server, --token-file): %w", f.Server, err)
	}
	return fmt.Errorf("store %s: %w", name, err)
}

// refused reports whether the program has said that it was asked for something wrongly.
func refused(err error) bool {
	p, ok := errors.AsType[*asset.Problem](err)
	return ok && p.Status >= 400 && p.Status < 500
}

// url is where a subject answers a want.
func (f *field) url(s *subject, w want) (string, error) {
	path, err := s.grammar(f.origin.source(w.file), w)
	return s.base + path, err
}

// close ends what was started, and takes away what was stored elsewhere.
func (f *field) close() error {
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	for _, product := range slices.Backward(f.defined) { // the first owns what the others share
		if err := removeProduct(ctx, f.subjects[0].api, product); err != nil {
			errs = append(errs, leftover{fmt.Errorf("the target keeps the product %s: %w", product, err)})
		}
	}
	if f.origin != nil {
		errs = append(errs, f.origin.end())
	}
	return errors.Join(append(errs, endAll(f.booted))...)
}

// removeProduct takes a product away, and all its names before.
func removeProduct(ctx context.Context, api *client.Client, product string) error {
	for {
		page, err := api.List(ctx, product, client.ListOptions{Limit: 1000})
		if err != nil {
			return err
		}
		if len(page.Assets) == 0 {
			_, err := api.DeleteProduct(ctx, product, client.Condition{})
			return err
		}
		for _, item := range page.Assets {
			if _, err := api.DeleteAsset(ctx, product, item.Name, client.Condition{}); err != nil {
				return err
			}
		}
	}
}

// A turn is a subject's in a round.
type turn struct {
	*subject
	round int // its number
}

// round is the i-th of n: each subject once, and another of them first than in the one before. A peer that fails is left out
// from then on.
func (f *field) round(ctx context.Context, step string, i, n int, among []*subject, measure func(t turn) error) error {
	for k := range among {
		s := among[(i+k)%len(among)]
		f.progress(step, i*len(among)+k, n*len(among))
		if err := f.turn(ctx, s, func() error { return measure(turn{s, i}) }); err != nil {
			return err
		}
	}
	return nil
}

// turn lets one subject do something, if it is still in; a peer that fails in it is left out.
func (f *field) turn(ctx context.Context, s *subject, do func() error) error {
	if s.out != nil {
		return nil
	}
	err := do()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case s.own():
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.out = err
	return nil
}

// reportSubjects says who was measured, and who was left out and why.
func (f *field) reportSubjects() {
	for _, s := range f.subjects {
		if s.out != nil {
			f.report.note(fmt.Sprintf("%s is not counted: %v", s.name, s.out))
		}
	}
	f.report.table(f.subjectsTable())
}

func (f *field) subjectsTable() Table {
	t := Table{Title: "Who was measured", Head: []string{"SUBJECT", "AT", "VERSION", "PROCESSES", "COUNTED"}}
	for _, s := range f.subjects {
		processes, counted := "elsewhere", "yes"
		switch {
		case s.tree != nil:
			processes = s.tree.names()
		case s.grammar == nil:
			processes = "this one"
		}
		if s.out != nil {
			counted = "no: " + s.out.Error()
		}
		t.Rows = append(t.Rows, []string{s.name, s.base, s.version, processes, counted})
	}
	return t
}
