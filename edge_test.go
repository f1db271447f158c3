package assetmatrix

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/control/client"
)

// A fleet is a control plane and its edges, each in a process of its own.
type fleet struct {
	t       *testing.T
	control *site
	dir     string
	nats    string // the address where the control plane accepts edges
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), nats: freeAddr(t)}
	f.control = f.startControl()
	f.control.product("shop")
	f.control.product("app")
	return f
}

func (f *fleet) startControl() *site {
	f.t.Helper()
	return start(f.t, f.dir, "ASSETMATRIX_ROLE=control", "ASSETMATRIX_NATS_LISTEN="+f.nats)
}

// edge starts an edge on a directory.
func (f *fleet) edge(dir string) *site {
	f.t.Helper()
	return start(f.t, dir, "ASSETMATRIX_ROLE=edge", "ASSETMATRIX_NATS_URL=nats://"+f.nats, "ASSETMATRIX_CONTROL_URL="+f.control.control)
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// Product shop uploads a new version; product app, which has a link to the asset, asks its own edge with the revision that
// shop got. The first answer has the new bytes, each time.
func TestReadYourWritesAcrossEdges(t *testing.T) {
	f := newFleet(t)
	edges := []*site{f.edge(t.TempDir()), f.edge(t.TempDir())}
	first := f.control.put("shop", "price.txt", []byte("round 0"))
	if _, err := f.control.PutLink(t.Context(), "app", "shop/price.txt", client.LinkSpec{Asset: first.ID}); err != nil {
		t.Fatal(err)
	}
	for round := range soak(50, 1000) {
		content := fmt.Appendf(nil, "round %d", round+1)
		r := f.control.put("shop", "price.txt", content)
		for i, e := range edges {
			header, query := []string{"Asset-Min-Revision", strconv.FormatUint(r.Revision, 10)}, ""
			if (round+i)%2 == 0 {
				header, query = nil, "?min_revision="+strconv.FormatUint(r.Revision, 10)
			}
			a := e.get("/app/original/shop/price.txt"+query, header...).is(t, 200)
			if !bytes.Equal(a.body, content) {
				t.Fatalf("round %d, edge %d: stale: %q at revision %s, revision %d was asked for", round, i, a.body, a.Header.Get("Asset-Revision"), r.Revision)
			}
		}
	}
}

// An edge renders from an original that only the control plane has, goes on when the control plane is gone for good, is
// started again, still serves, and says how old what it knows is.
func TestEdgeWithoutControlPlane(t *testing.T) {
	f := newFleet(t)
	r := f.control.put("shop", "a.jpg", picture(t, 3, 640, 480))
	dir := t.TempDir()
	e := f.edge(dir)
	const url = "/shop/w=100,f=jpeg/a.jpg"
	want := e.get(url, "Asset-Min-Revision", strconv.FormatUint(r.Revision, 10)).is(t, 200).body
	if lag := e.metric("assetmatrix_catalog_lag_seconds"); lag > 5 {
		t.Errorf("an edge that follows is %v s behind", lag)
	}
	f.control.kill()
	for range 2 {
		if a := e.get(url).is(t, 200); !bytes.Equal(a.body, want) {
			t.Fatal("other bytes without the control plane")
		}
		e.get("/shop/info/a.jpg").is(t, 200)
		e.get("/shop/w=50,f=jpeg/a.jpg").is(t, 200) // its original is in the edge's own cache
		eventually(t, "the edge's age rises", func() bool { return e.metric("assetmatrix_catalog_lag_seconds") > 2 })
		eventually(t, "the edge says so of itself", func() bool {
			all, err := e.Replicas(t.Context())
			return err == nil && len(all.Replicas) > 0 && all.Replicas[0].Role == "edge" && all.Replicas[0].LagSeconds > 2
		})
		a, err := e.ask(http.MethodGet, e.control+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		a.is(t, 200)
		behind := e.get(url+"?min_revision=1000000").is(t, 503)
		if behind.Header.Get("Retry-After") == "" || !strings.Contains(string(behind.body), "min_revision") {
			t.Errorf("%v %s", behind.Header, behind.body)
		}
		e.kill()
		began := time.Now()
		e = f.edge(dir)
		t.Logf("serving again after %s", time.Since(began))
	}
	e.get(url).is(t, 200)
	refused, err := e.ask(http.MethodPut, e.control+"/v1/products/x", strings.NewReader("{}"), "Content-Type", "application/json")
	if err != nil {
		t.Fatal(err)
	}
	if refused.StatusCode < 400 || !strings.Contains(string(refused.body), "edge") {
		t.Errorf("a write at an edge: %s %s", refused.Status, refused.body)
	}
}

// A new control plane on the same directory, and an edge that has seen nothing meanwhile, come together again.
func TestEdgeFollowsAgain(t *testing.T) {
	f := newFleet(t)
	e := f.edge(t.TempDir())
	r := f.control.put("shop", "a.txt", []byte("one"))
	e.get("/shop/original/a.txt?min_revision="+strconv.FormatUint(r.Revision, 10)).is(t, 200)
	f.control.kill()
	f.control = f.startControl()
	r = f.control.put("shop", "a.txt", []byte("two"))
	eventually(t, "the edge shows the new version", func() bool {
		a := e.get("/shop/info/a.txt")
		return a.StatusCode == 200 && a.Header.Get("Asset-Version") == "2"
	})
}
