package bench

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// asked holds an error to be ErrAsked, and to say these things.
func asked(t *testing.T, err error, says ...string) {
	t.Helper()
	if !errors.Is(err, ErrAsked) {
		t.Errorf("%v is not ErrAsked", err)
		return
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

// smallPictures is an album of so many JPEGs of 200 × 150.
func smallPictures(t *testing.T, n int) (dir string) {
	t.Helper()
	files := map[string][]byte{}
	for i := range n {
		data, err := corpus.JPEG(corpus.Landscape(uint64(i), 200, 150), 85)
		if err != nil {
			t.Fatal(err)
		}
		files[string(rune('a'+i))+".jpg"] = data
	}
	return album(t, files)
}

// targetServer is a server that stays, as a target, and the management API of it.
func targetServer(t *testing.T, r *run, settings ...string) *client.Client {
	t.Helper()
	s, err := startServer(t.Context(), r.Program, "all", t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.end() })
	if _, err := s.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Target, r.Server = "http://"+s.front, "http://"+s.control
	api, err := client.New(r.Server)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// products are the names of what a server has.
func products(t *testing.T, api *client.Client) (names []string) {
	t.Helper()
	all, err := api.Products(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.Products {
		names = append(names, p.Name)
	}
	return names
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// ended fails the test when a process that it has started is still there.
func ended(t *testing.T) {
	t.Helper()
	members, err := treeOf(os.Getpid()).members()
	if err != nil || len(members) != 1 {
		t.Errorf("left running: %v, %v", members, err)
	}
}

// counted returns what the table says of whether a subject was counted.
func (r *Report) counted(t *testing.T, name string) string {
	t.Helper()
	for _, table := range r.Tables {
		if table.Title != "Who was measured" {
			continue
		}
		for _, row := range table.Rows {
			if row[0] == name {
				return row[len(row)-1]
			}
		}
	}
	t.Fatalf("no table says whether %s was counted: %v", name, r.Tables)
	return ""
}

// figuresOf are the names of the figures that are a peer's, or compare with it.
func (r *Report) figuresOf(peer string) (names []string) {
	for _, f := range r.Figures {
		if strings.HasSuffix(f.Name, "_"+figureName(peer)) {
			names = append(names, f.Name)
		}
	}
	return names
}

// A target that stays has nothing of the bench afterwards, however that ends.
func TestTargetIsLeftAsItWas(t *testing.T) {
	r := testRun(t)
	api := targetServer(t, r)
	if _, err := api.PutProduct(t.Context(), "shop", client.ProductSpec{}); err != nil {
		t.Fatal(err)
	}
	tiny := burstSize{original: [2]int{150, 100}, clients: 3, width: 50, rounds: 1}
	if err := burst(t.Context(), r, tiny); err != nil {
		t.Fatal(err)
	}
	if renders := r.report.value(t, "burst_renders"); renders != 1 {
		t.Errorf("%v renders", renders)
	}
	if row := r.report.counted(t, ownName); row != "yes" {
		t.Error(row)
	}
	if left := products(t, api); !slices.Equal(left, []string{"shop"}) {
		t.Errorf("left behind: %v", left)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	r.Progress = func(p Progress) {
		if p.Step == "burst" {
			interrupt()
		}
	}
	if err := burst(ctx, r, tiny); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	r.Progress = nil
	r.Peers = []Peer{{"imagor", "http://" + nobody(t)}}
	asked(t, burst(t.Context(), r, tiny), "imagor at http://127.0.0.1:", "is not reached", "start it, or leave it out")
	if left := products(t, api); !slices.Equal(left, []string{"shop"}) {
		t.Errorf("left behind: %v", left)
	}
}

// A day's products, and what they share, are taken away as well.
func TestTargetOfADay(t *testing.T) {
	r := testRun(t)
	api := targetServer(t, r)
	f, err := openField(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newDay(t.Context(), f, tinyDay); err != nil {
		t.Error(err)
	}
	if has := products(t, api); len(has) != 1+tinyDay.products {
		t.Errorf("products %v", has)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if left := products(t, api); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A management API that is another system's is told, and keeps nothing.
func TestFieldWrongServer(t *testing.T) {
	one, other, wrong := testRun(t), testRun(t), testRun(t)
	api := targetServer(t, one)
	targetServer(t, other)
	wrong.Target, wrong.Server = other.Target, one.Server
	err := hits(t.Context(), wrong, hitSize{})
	asked(t, err, "is not seen at "+other.Target+" (--target)", "404", "give the management API of the same system")
	if left := products(t, api); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What is not there is said before anything is measured, with what to do, and nothing is left.
func TestFieldAsksForWhatIsNotThere(t *testing.T) {
	tiny := func(r *run) error { return hits(t.Context(), r, hitSize{}) }
	explains := func(o Options, says ...string) {
		t.Helper()
		r := testRun(t)
		o.Dir, o.Program = r.Dir, r.Program
		r.Options = o
		asked(t, tiny(r), says...)
		ended(t)
	}
	silent := nobody(t)
	explains(Options{Target: "http://" + silent, Server: "http://" + silent}, "assetmatrix at http://"+silent+" is not reached", "connection refused", "start it, or leave it out")
	explains(Options{Peers: []Peer{{"nginx", "http://" + silent}}}, "nginx at http://"+silent+" is not reached", "start it, or leave it out")
	front := answering(t, func(http.ResponseWriter, *http.Request) {})
	explains(Options{Target: front, Server: "http://" + silent}, "management API at http://"+silent+" (--server, --token-file) does not take a product", "connection refused")
	explains(Options{Target: front, Server: front}, "management API at "+front)
	explains(Options{Target: front, Server: "::"}, "--server")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	explains(Options{Origin: taken.Addr().String()}, "address already in use", "give --origin a free address such as 127.0.0.1:8090")
	explains(Options{Origin: "nonsense"}, "give --origin a free address")
}

// Everybody takes turns, and another goes first in each round; a peer that fails is left out from then on, the program's own
// failure is one of the run.
func TestFieldRounds(t *testing.T) {
	f := &field{run: testRun(t)}
	own, a, b := &subject{name: ownName, api: new(client.Client)}, &subject{name: "a"}, &subject{name: "b"}
	var turns []string
	among := []*subject{own, a, b}
	var rounds []int
	err := f.rounds(t.Context(), "step", 3, among, func(t turn) error {
		rounds = append(rounds, t.round)
		if turns = append(turns, t.name); len(turns) == 5 {
			return errors.New("wrong")
		}
		return nil
	})
	if want := "assetmatrix a b a b assetmatrix assetmatrix a"; err != nil || strings.Join(turns, " ") != want {
		t.Errorf("%v, %v, want %s", turns, err, want)
	}
	if want := []int{0, 0, 0, 1, 1, 1, 2, 2}; !slices.Equal(rounds, want) {
		t.Errorf("rounds %v, want %v", rounds, want)
	}
	if a.out != nil || b.out == nil {
		t.Errorf("out: %v, %v", a.out, b.out)
	}
	if err := f.turn(t.Context(), own, func() error { return errors.New("wrong") }); err == nil || err.Error() != "assetmatrix: wrong" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.turn(ctx, a, func() error { return errors.New("wrong") }); !errors.Is(err, context.Canceled) || a.out != nil {
		t.Errorf("%v, %v", err, a.out)
	}
}

func TestVersionOf(t *testing.T) {
	says := func(header map[string]string, body, want string) {
		t.Helper()
		h := http.Header{}
		for k, v := range header {
			h.Set(k, v)
		}
		if got := versionOf(h, []byte(body)); got != want {
			t.Errorf("%v, %s: %s, want %s", header, body, got, want)
		}
	}
	says(nil, `{"imagor":{"version":"1.4.15"}}`, "imagor 1.4.15")
	says(map[string]string{"Server": "nginx/1.22.1", "Via": "1.1 debian (Varnish/7.1)"}, "<html>", "1.1 debian (Varnish/7.1)")
	says(map[string]string{"Server": "nginx/1.22.1", "Via": "1.1 proxy"}, "", "nginx/1.22.1")
	says(nil, "{}", "it does not say")
}

func TestOwnPath(t *testing.T) {
	f := &field{product: "bench-1"}
	for w, want := range map[want]string{
		{file: "r0/a b.jpg"}: "/bench-1/original/r0/a%20b.jpg",
		{file: "a.jpg", width: 512, format: asset.AVIF, quality: 80}: "/bench-1/f=avif,q=80,w=512/a.jpg",
	} {
		if got, err := f.ownPath("", w); err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}

var tinyDay = daySize{products: 3, originals: 4, pixels: 20_000, rate: 20, uploads: 50 * time.Millisecond, purges: 70 * time.Millisecond}

// adminOf is a client of a management API.
func adminOf(t *testing.T, url string) *client.Client {
	t.Helper()
	api, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// rounds lets subjects take turns, so that what neighbours on the machine do for some seconds is in the figures of all.
func (f *field) rounds(ctx context.Context, step string, n int, among []*subject, measure func(t turn) error) error {
	for i := range n {
		if err := f.round(ctx, step, i, n, among, measure); err != nil {
			return err
		}
	}
	return nil
}
