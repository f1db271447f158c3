package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// nodeConfig names, in the environment, the configuration of the NATS server that a re-executed test binary is.
const nodeConfig = "CATALOG_TEST_NATS_CONFIG"

// serveNode is a NATS server until it is killed or its standard input ends.
func serveNode(path string) {
	o, err := server.ProcessConfigFile(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	o.NoSigs, o.LogFile = true, path+".log"
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(startTimeout) || requireSync(s.JetStreamConfig()) != nil {
		fmt.Println("does not serve durably")
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	s.Shutdown()
	s.WaitForShutdown()
	os.Exit(0)
}

// A cluster is three NATS servers in processes of their own, with the configuration of docs/clusters.md.
type cluster struct {
	nodes [3]*node
	tls   NATSConfig
}

type node struct {
	name, client, route string // addresses
	dir, config         string
	cmd                 *exec.Cmd
	stop                func() error
}

// documented returns the snippet of docs/clusters.md that holds text.
func documented(t *testing.T, text string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "clusters.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```[a-z]*\n(.*?)```").FindAllSubmatch(page, -1) {
		if strings.Contains(string(m[1]), text) {
			return string(m[1])
		}
	}
	t.Fatal("no such snippet:", text)
	return ""
}

// newCluster starts the three servers.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{tls: certificates(t, t.TempDir())}
	for i, name := range []string{"nats-a", "nats-b", "nats-c"} {
		c.nodes[i] = &node{name: name, client: freePort(t), route: freePort(t), dir: t.TempDir()}
	}
	text := documented(t, "server_name: nats-a")
	for _, n := range c.nodes {
		replace := []string{
			"server_name: nats-a", "server_name: " + n.name, "0.0.0.0:4222", n.client, "0.0.0.0:6222", n.route, "/var/lib/nats", n.dir,
			"/etc/nats/cert.pem", c.tls.Cert, "/etc/nats/key.pem", c.tls.Key, "/etc/nats/ca.pem", c.tls.CA,
		}
		for _, other := range c.nodes {
			replace = append(replace, other.name+":6222", other.route)
		}
		n.config = filepath.Join(t.TempDir(), n.name+".conf")
		if err := os.WriteFile(n.config, []byte(strings.NewReplacer(replace...).Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.nodes {
		n.start(t)
		t.Cleanup(n.kill)
	}
	return c
}

// start starts the process; the cluster need not be complete for that.
func (n *node) start(t *testing.T) {
	t.Helper()
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), nodeConfig+"="+n.config, "CONTROL_PASSWORD=secret1", "EDGE_PASSWORD=secret2")
	in, err := n.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	n.stop = in.Close
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		log, _ := os.ReadFile(n.config + ".log")
		t.Fatalf("%s: %s\n%s", n.name, line, log)
	}
}

// kill is kill -9.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}

// end lets the server end in peace.
func (n *node) end(t *testing.T) {
	t.Helper()
	if err := errors.Join(n.stop(), n.cmd.Wait()); err != nil {
		t.Fatal(err)
	}
}

// config returns that of a catalog of the cluster.
func (c *cluster) config(t *testing.T, role string) Config {
	user := "control:secret1"
	if role == roleEdge {
		user = "edge:secret2"
	}
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, "tls://"+user+"@"+n.client)
	}
	cfg := config(t.TempDir())
	cfg.Role, cfg.NATS.URL, cfg.NATS.CA, cfg.NATS.Replicas = role, strings.Join(urls, ","), c.tls.CA, 3
	return cfg
}

// open returns a catalog of the cluster; a writer once the cluster lets it make the log.
func (c *cluster) open(t *testing.T, role string, ev Events) *Catalog {
	t.Helper()
	cfg := c.config(t, role)
	var cat *Catalog
	var err error
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if cat, err = Open(t.Context(), cfg, ev); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = cat.Close() })
	return cat
}

// state returns what the log's leader says of it.
func (c *cluster) state(t *testing.T, cat *Catalog) *jetstream.StreamInfo {
	t.Helper()
	js, err := jetstream.New(cat.server.nc)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		s, err := js.Stream(ctx, streamName)
		cancel()
		if err == nil && s.CachedInfo().Cluster != nil && s.CachedInfo().Cluster.Leader != "" {
			return s.CachedInfo()
		}
	}
	t.Fatal("the log has no leader")
	return nil
}

func (c *cluster) node(name string) *node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// whole waits until all servers have all of the log.
func (c *cluster) whole(t *testing.T, cat *Catalog) {
	t.Helper()
	until(t, "the cluster to be whole", func() bool {
		in := c.state(t, cat).Cluster
		if len(in.Replicas) != 2 {
			return false
		}
		for _, p := range in.Replicas {
			if !p.Current || p.Offline || p.Lag > 0 {
				return false
			}
		}
		return true
	})
}

// writers write until they are stopped, and keep what was acknowledged.
type writers struct {
	stop    chan struct{}
	wg      sync.WaitGroup
	mu      sync.Mutex // guards stored and failed
	stored  []string
	failed  []error
	count   atomic.Int64
	longest atomic.Int64
}

func write(c *Catalog, n int) *writers {
	w := &writers{stop: make(chan struct{})}
	for g := range n {
		w.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-w.stop:
					return
				default:
				}
				w.one(c, fmt.Sprintf("p%d-%d", g, i))
			}
		})
	}
	return w
}

func (w *writers) one(c *Catalog, name string) {
	start := time.Now()
	err := try(c, putProduct(name))
	if took := time.Since(start); took > time.Duration(w.longest.Load()) {
		w.longest.Store(int64(took))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed = append(w.failed, err)
		return
	}
	w.stored = append(w.stored, name)
	w.count.Add(1)
}

// more waits for so many more writes.
func (w *writers) more(t *testing.T, n int64) {
	t.Helper()
	for before, deadline := w.count.Load(), time.Now().Add(60*time.Second); w.count.Load() < before+n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("writes do not go on: %v", w.failed)
		}
	}
}

// The leader is killed by -9 under load, twice: whatever was acknowledged is there, once; writes go on by themselves; edges
// answer all the time, and get everything.
func TestClusterLeaderKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	cl := newCluster(t)
	c := cl.open(t, roleControl, Events{})
	edges := []*Catalog{cl.open(t, roleEdge, Events{}), cl.open(t, roleEdge, Events{})}
	var stops []func() int64
	for _, e := range edges {
		stops = append(stops, reading(t, e))
	}
	w := write(c, 4)
	w.more(t, 100)
	for range 2 {
		leader := cl.node(cl.state(t, c).Cluster.Leader)
		leader.kill()
		w.more(t, 100)
		leader.start(t)
		cl.whole(t, c)
	}
	close(w.stop)
	w.wg.Wait()
	for _, stop := range stops {
		if stop() == 0 {
			t.Error("an edge did not answer")
		}
	}
	t.Logf("%d acknowledged, %d failed, the longest took %s", len(w.stored), len(w.failed), time.Duration(w.longest.Load()))
	for _, err := range w.failed {
		t.Error(err)
	}
	for _, e := range append(edges, c) {
		reaches(t, e, c.View().Revision())
		for _, name := range w.stored {
			if _, ok := e.View().Product(name); !ok {
				t.Fatalf("%s was acknowledged and is lost", name)
			}
		}
	}
	committedOnce(t, c, len(w.stored))
}

// frozenEvents collects what Events.Frozen is told.
type frozenEvents struct {
	mu   sync.Mutex // guards told
	told []error
}

func (f *frozenEvents) take(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, err)
}

// ends returns what was told first, and last.
func (f *frozenEvents) ends() (first, last error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.told) == 0 {
		return nil, nil
	}
	return f.told[0], f.told[len(f.told)-1]
}

// One server's store is damaged. An edge that reads from it shows nothing of it, and reads on from another server. When
// the damage is in the middle, it meets a hole, freezes there and says so; the last message is only not delivered, which
// it learns from the control plane.
func TestClusterDamagedServer(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	const products = 20
	for damaged, froze := range map[int]bool{7: true, products: false} {
		t.Run(fmt.Sprint(damaged), func(t *testing.T) {
			cl := newCluster(t)
			c := cl.open(t, roleControl, Events{})
			for i := range products {
				update(t, c, putProduct(fmt.Sprintf("shop-%03d", i+1)))
			}
			cl.damage(t, c, damaged)
			for range 40 {
				events := new(frozenEvents)
				e := cl.open(t, roleEdge, Events{Frozen: events.take})
				whileShown(t, e, products)
				if e.View().hash != c.View().hash {
					t.Fatal("not the same matrix")
				}
				until(t, "the edge to say that it follows again", func() bool { // it shows a moment before it says
					_, last := events.ends()
					return last == nil
				})
				first, _ := events.ends()
				met := first != nil || e.replica.log.(*stream).avoid != ""
				_ = e.Close()
				if !met { // it has read from another one
					continue
				}
				if froze {
					checkFrozen(t, first, uint64(damaged)+1, "is missing", errChain)
				}
				return
			}
			t.Error("no edge met the damage")
		})
	}
}

// damage flips a byte of the nth product in the store of a server that does not lead.
func (c *cluster) damage(t *testing.T, cat *Catalog, n int) {
	t.Helper()
	c.whole(t, cat)
	bad := c.node(c.state(t, cat).Cluster.Replicas[0].Name)
	bad.end(t)
	damageIn(t, bad.dir, n)
	bad.start(t)
	c.whole(t, cat)
}

// whileShown waits until e has so many revisions, of a product each, and fails when it ever shows anything else.
func whileShown(t *testing.T, e *Catalog, revisions uint64) {
	t.Helper()
	until(t, "the edge to have all", func() bool {
		v := e.View()
		if v.products.Len() != int(v.Revision()) {
			t.Fatalf("revision %d shows %d products", v.Revision(), v.products.Len())
		}
		return v.Revision() == revisions
	})
}

// damageIn flips a byte of the nth product in a server's store.
func damageIn(t *testing.T, dir string, n int) {
	t.Helper()
	var flipped bool
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || flipped || filepath.Ext(path) != ".blk" || !strings.Contains(path, filepath.Join("streams", streamName, "msgs")) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if i := strings.Index(string(data), fmt.Sprintf("shop-%03d", n)); i > 0 {
			data[i] ^= 1
			flipped = true
			return os.WriteFile(path, data, 0o600)
		}
		return nil
	})
	if err != nil || !flipped {
		t.Fatal("nothing to damage:", err)
	}
}

// The document's permissions and imports are those of the server in our process, and hold on the cluster.
func TestClusterDocument(t *testing.T) {
	for _, kind := range []struct {
		name     string
		subjects []string
	}{{"service", append([]string{server.JSApiAccountInfo}, edgeQuestions...)}, {"stream", edgeNews}} {
		for _, s := range kind.subjects {
			text := documented(t, "server_name: nats-a")
			if !strings.Contains(text, `{ `+kind.name+`: "`+s+`", `) || !strings.Contains(text, `{ `+kind.name+`: { account: ASSETMATRIX, subject: "`+s+`" } }`) {
				t.Errorf("%s %q is not exported or not imported", kind.name, s)
			}
		}
	}
	p := edgePermissions()
	for _, list := range [][]string{p.Publish.Allow, p.Subscribe.Allow} {
		for _, subject := range list {
			if !strings.Contains(documented(t, "server_name: nats-a"), `"`+subject+`"`) || !strings.Contains(documented(t, "nsc add user"), subject) {
				t.Errorf("%q is missing", subject)
			}
		}
	}
	if testing.Short() {
		t.Skip("three servers")
	}
	cl := newCluster(t)
	c := cl.open(t, roleControl, Events{})
	revision := update(t, c, putProduct("shop"))
	e := cl.open(t, roleEdge, Events{})
	reaches(t, e, revision)
	if behind, err := c.AwaitReplicas(t.Context(), revision); err != nil {
		t.Fatal(behind, err)
	}
	if in := cl.state(t, c); in.Config.Replicas != 3 {
		t.Errorf("%+v", in.Config)
	}
	denied := make(chan error, 1)
	cfg := cl.config(t, roleEdge)
	options, err := cfg.NATS.outside(&net.Dialer{})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(cfg.NATS.URL, append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, s := range []string{subject, "$JS.API.STREAM.DELETE.META", "$JS.API.STREAM.PURGE.META", "$JS.API.STREAM.UPDATE.META", writerSubject} {
		if err := nc.Publish(s, nil); err != nil {
			t.Fatal(err)
		}
		if err := <-denied; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(s, err)
		}
	}
	leadAnswers(t, nc)
	reaches(t, e, update(t, c, putProduct("blog")))
}

// A cluster that says it has less than it had is asked again for a while, the server in our process is not.
func TestStaleLeader(t *testing.T) {
	s := &stream{patient: true}
	s.saw(7)
	s.saw(5) // an older message
	if s.stale(7, 7) || s.stale(6, 6) || !s.stale(6, 7) || s.doubted.IsZero() {
		t.Error("6 is believed")
	}
	if s.saw(8); !s.doubted.IsZero() || s.stale(8, 8) {
		t.Error("it is doubted for ever")
	}
	s.stale(6, 8)
	if s.doubted = s.doubted.Add(-staleAfter); s.stale(6, 8) || s.stale(6, s.known()) || s.known() != 6 {
		t.Error("it is never believed")
	}
	s.patient = false
	if s.stale(1, 6) {
		t.Error("our own server is doubted")
	}
}

// That a cluster has no leader is no refusal.
func TestAppendError(t *testing.T) {
	for _, c := range []struct {
		code    int
		number  jetstream.ErrorCode
		patient bool
		want    error
	}{
		{503, 10009, false, errRefused}, {503, 10009, true, nil}, {400, 10054, true, errRefused}, {400, 10054, false, errRefused},
		{400, jetstream.JSErrCodeStreamWrongLastSequence, true, errMoved}, {400, jetstream.JSErrCodeStreamWrongLastSequenceConstant, false, errMoved},
	} {
		err := appendError(&jetstream.APIError{Code: c.code, ErrorCode: c.number}, c.patient)
		if c.want == nil && (errors.Is(err, errRefused) || errors.Is(err, errMoved)) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
