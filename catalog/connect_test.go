package catalog

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestNATSConfig(t *testing.T) {
	dir := t.TempDir()
	tls, text := certificates(t, dir), filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for _, c := range []struct {
		key  string // "" is no error
		role string
		NATSConfig
	}{
		{"", roleAll, NATSConfig{}},
		{"", roleEdge, NATSConfig{URL: "nats://a:4222, tls://user:pass@b:4222"}},
		{"", roleAll, NATSConfig{Listen: "127.0.0.1:4222"}},
		{"", roleAll, NATSConfig{Listen: "localhost:4222"}},
		{"", roleAll, NATSConfig{Listen: "[::1]:0"}},
		{"", roleAll, NATSConfig{Listen: ":4222", Password: "x"}},
		{"", roleAll, NATSConfig{URL: "nats://a:4222", CA: tls.CA, Cert: tls.Cert, Key: tls.Key, Credentials: text}},
		{"nats.url", roleEdge, NATSConfig{}},
		{"nats.url", roleAll, NATSConfig{URL: "a:4222"}},
		{"nats.url", roleAll, NATSConfig{URL: "http://a:4222"}},
		{"nats.url", roleAll, NATSConfig{URL: "nats://"}},
		{"nats.url", roleAll, NATSConfig{URL: "nats://a:4222,"}},
		{"nats.url", roleAll, NATSConfig{URL: "nats://u:sesame@a:4222/x"}},
		{"nats.url", roleAll, NATSConfig{URL: "nats://u:sesame@a:port"}},
		{"nats.listen", roleAll, NATSConfig{Listen: "here"}},
		{"nats.listen", roleAll, NATSConfig{Listen: "127.0.0.1:99999"}},
		{"nats.listen", roleAll, NATSConfig{Listen: ":4222"}},
		{"nats.listen", roleAll, NATSConfig{Listen: "10.0.0.1:4222"}},
		{"nats.listen", roleAll, NATSConfig{URL: "nats://a:4222", Listen: "127.0.0.1:4222"}},
		{"nats.replicas", roleAll, NATSConfig{Replicas: 2}},
		{"nats.replicas", roleAll, NATSConfig{Replicas: -1}},
		{"nats.credentials", roleAll, NATSConfig{URL: "nats://a:4222", Credentials: missing}},
		{"nats.credentials", roleAll, NATSConfig{Credentials: text}},
		{"nats.ca", roleAll, NATSConfig{CA: missing}},
		{"nats.cert", roleAll, NATSConfig{CA: text}},
		{"nats.cert", roleAll, NATSConfig{Cert: tls.Cert}},
		{"nats.cert", roleAll, NATSConfig{Key: tls.Key}},
		{"nats.cert", roleAll, NATSConfig{Cert: missing, Key: tls.Key}},
		{"nats.key", roleAll, NATSConfig{Cert: tls.Cert, Key: missing}},
		{"nats.cert", roleAll, NATSConfig{Cert: tls.Cert, Key: text}},
	} {
		cfg := config(dir)
		if c.Replicas == 0 {
			c.Replicas = 1
		}
		cfg.Role, cfg.NATS = c.role, c.NATSConfig
		err := cfg.Validate()
		f, _ := errors.AsType[*asset.Fault](err)
		switch {
		case c.key == "" && err == nil:
		case f == nil || f.Part != c.key || !errors.Is(err, asset.ErrInvalid) || strings.Contains(err.Error(), "sesame"):
			t.Errorf("%+v: %v; want %q", c.NATSConfig, err, c.key)
		}
	}
	cfg := config(dir)
	cfg.Role = "king"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), `role: is "king"; allowed: all, control, edge`) {
		t.Error(err)
	}
}

// certificates writes an authority and a certificate of it for loopback, as server and as client.
func certificates(t *testing.T, dir string) NATSConfig {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write := func(name, kind string, der []byte, err error) string {
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	authority, own := key(), key()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &authority.PublicKey, authority)
	caPath := write("ca.pem", "CERTIFICATE", caDER, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &own.PublicKey, authority)
	certPath := write("cert.pem", "CERTIFICATE", leafDER, err)
	keyDER, err := x509.MarshalECPrivateKey(own)
	return NATSConfig{CA: caPath, Cert: certPath, Key: write("key.pem", "EC PRIVATE KEY", keyDER, err)}
}

// With certificates and a password, an edge without either does not get in, and one with both does.
func TestTLS(t *testing.T) {
	pems, strangers := certificates(t, t.TempDir()), certificates(t, t.TempDir())
	c, url := accepting(t, t.TempDir(), func(cfg *Config) {
		cfg.NATS.CA, cfg.NATS.Cert, cfg.NATS.Key, cfg.NATS.Password = pems.CA, pems.Cert, pems.Key, "sesame"
	})
	update(t, c, putProduct("shop"))
	address := strings.TrimPrefix(url, "nats://")
	good := edgeConfig(t.TempDir(), "tls://edge:sesame@"+address)
	good.NATS.CA, good.NATS.Cert, good.NATS.Key = pems.CA, pems.Cert, pems.Key
	for name, spoil := range map[string]func(*NATSConfig){
		"no certificate":    func(n *NATSConfig) { n.Cert, n.Key = "", "" },
		"other certificate": func(n *NATSConfig) { n.Cert, n.Key = strangers.Cert, strangers.Key },
		"other authority":   func(n *NATSConfig) { n.CA = strangers.CA },
		"no password":       func(n *NATSConfig) { n.URL = "tls://" + address },
		"wrong password":    func(n *NATSConfig) { n.URL = "tls://edge:wrong@" + address },
		"other user":        func(n *NATSConfig) { n.URL = "tls://control:sesame@" + address },
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			bad.Dir = t.TempDir()
			spoil(&bad.NATS)
			refused := make(chan error, 1)
			e, err := Open(t.Context(), bad, Events{Connection: func(err error) { refused <- err }})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			select {
			case err := <-refused:
				if err == nil || e.Healthy() == nil {
					t.Error("it is connected")
				}
			case <-time.After(10 * time.Second):
				t.Error("nothing was said")
			}
		})
	}
	e, err := Open(t.Context(), good, Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	reaches(t, e, 1)
}

// Where edges are accepted must be free.
func TestListenInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := config(t.TempDir())
	cfg.NATS.Listen = l.Addr().String()
	if _, err := Open(t.Context(), cfg, Events{}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatal(err)
	}
}

// An edge opens at once, whether nobody listens, nobody answers, or there is no such host.
func TestEdgeOpensWithoutServer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, url := range []string{"nats://127.0.0.1:1", "nats://" + silent.Addr().String(), "nats://192.0.2.1:4222", "nats://nowhere.invalid:4222"} {
		start := time.Now()
		e := edge(t, t.TempDir(), url)
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: it took %s", url, took)
		}
		if e.Healthy() == nil || e.View().Revision() != 0 {
			t.Error("it is connected")
		}
	}
}

// The server may come up after the edge, go, and come again.
func TestEdgeFindsServer(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	listen := func(cfg *Config) { cfg.NATS.Listen = port }
	var broken, made atomic.Int64
	e, err := Open(t.Context(), edgeConfig(t.TempDir(), "nats://"+port), Events{Connection: func(err error) {
		if err != nil {
			broken.Add(1)
		} else {
			made.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	until(t, "the edge says that nobody is there", func() bool { return broken.Load() == 1 })
	for i := range int64(3) {
		c, _ := accepting(t, dir, listen)
		reaches(t, e, update(t, c, putProduct("p"+string('a'+rune(i)))))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		until(t, "the edge notices", func() bool { return made.Load() == i+1 && broken.Load() == i+2 })
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// operated returns the address of a server in operator mode, and a function that writes a file of credentials for it, in
// the log's account or that of edges.
func operated(t *testing.T) (url string, credentials func(name string, p jwt.Permissions) string) {
	t.Helper()
	must := func(text string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	pair := func(k nkeys.KeyPair, err error) (nkeys.KeyPair, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return k, must(k.PublicKey())
	}
	operator, operatorID := pair(nkeys.CreateOperator())
	account, accountID := pair(nkeys.CreateAccount())
	ac := jwt.NewAccountClaims(accountID)
	ac.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1}
	edges, edgesID := pair(nkeys.CreateAccount())
	ec := jwt.NewAccountClaims(edgesID)
	for kind, subjects := range map[jwt.ExportType][]string{
		jwt.Service: append([]string{server.JSApiAccountInfo}, edgeQuestions...), jwt.Stream: edgeNews,
	} {
		for _, s := range subjects {
			x := &jwt.Export{Subject: jwt.Subject(s), Type: kind}
			if kind == jwt.Service {
				x.ResponseType = jwt.ResponseTypeStream
			}
			ac.Exports.Add(x)
			ec.Imports.Add(&jwt.Import{Account: accountID, Subject: jwt.Subject(s), Type: kind})
		}
	}
	resolver := &server.MemAccResolver{}
	_, systemID := pair(nkeys.CreateAccount())
	if err := errors.Join(resolver.Store(accountID, must(ac.Encode(operator))), resolver.Store(edgesID, must(ec.Encode(operator))),
		resolver.Store(systemID, must(jwt.NewAccountClaims(systemID).Encode(operator)))); err != nil {
		t.Fatal(err)
	}
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoSigs: true, NoLog: true,
		TrustedOperators: []*jwt.OperatorClaims{jwt.NewOperatorClaims(operatorID)}, AccountResolver: resolver, SystemAccount: systemID,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(startTimeout) {
		t.Fatal("the server does not serve")
	}
	return srv.ClientURL(), func(name string, p jwt.Permissions) string {
		in := account
		if name == "edge.creds" {
			in = edges
		}
		user, userID := pair(nkeys.CreateUser())
		uc := jwt.NewUserClaims(userID)
		uc.Permissions = p
		seed, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		file, err := jwt.FormatUserConfig(must(uc.Encode(in)), seed)
		path := filepath.Join(t.TempDir(), name)
		if err := errors.Join(err, os.WriteFile(path, file, 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// With files of credentials, a control plane writes and an edge reads, on a server that knows nobody else.
func TestCredentials(t *testing.T) {
	url, credentials := operated(t)
	p := edgePermissions()
	control, reader := config(t.TempDir()), edgeConfig(t.TempDir(), url)
	control.NATS.URL, control.NATS.Credentials = url, credentials("control.creds", jwt.Permissions{})
	reader.NATS.Credentials = credentials("edge.creds", jwt.Permissions{
		Pub: jwt.Permission{Allow: p.Publish.Allow}, Sub: jwt.Permission{Allow: p.Subscribe.Allow},
	})
	open := func(cfg Config) *Catalog {
		c, err := Open(t.Context(), cfg, Events{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c, e := open(control), open(reader)
	revision := update(t, c, putProduct("shop"))
	if behind, err := c.AwaitReplicas(t.Context(), revision); err != nil || e.View().Revision() != revision {
		t.Fatal(behind, err)
	}
	nobody := reader
	nobody.Dir, nobody.NATS.Credentials = t.TempDir(), ""
	n := open(nobody)
	until(t, "it to be refused", func() bool { return n.server.nc.LastError() != nil })
	if n.Healthy() == nil {
		t.Error("it is connected")
	}
}
