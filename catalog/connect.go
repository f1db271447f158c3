package catalog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The roles of a process.
const (
	roleAll     = "all"
	roleControl = "control"
	roleEdge    = "edge"
)

// How a connection notices that the other side is gone, and how soon it comes back. The waits are short because writes
// stand still meanwhile, and vary so that many edges do not come at once.
const (
	reconnectWait   = 50 * time.Millisecond
	reconnectJitter = 50 * time.Millisecond
	pingInterval    = 2 * time.Second
	maxPingsOut     = 2
)

// connect returns the connection to cfg's log, to s when that is in this process. To another process there always is a
// connection, whether or not there is a server yet: it looks for one for ever, and nobody waits for it here.
func connect(cfg Config, s *natsServer, ev Events) (*nats.Conn, error) {
	said := &connectionEvents{tell: ev.Connection, server: s}
	s.said = said
	if cfg.NATS.URL == "" {
		return nats.Connect("", append(said.options(), nats.InProcessServer(s), nats.UserInfo(controlUser, s.password))...)
	}
	later := new(laterDialer)
	defer later.begin()
	outside, err := cfg.NATS.outside(later)
	if err != nil {
		return nil, err
	}
	return nats.Connect(cfg.NATS.URL, append(said.options(), outside...)...)
}

// outside returns the options of a connection to another process.
func (c NATSConfig) outside(d nats.CustomDialer) ([]nats.Option, error) {
	options := []nats.Option{nats.RetryOnFailedConnect(true), nats.SkipHostLookup(), nats.SetCustomDialer(d)}
	if c.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Credentials))
	}
	if c.CA == "" && c.Cert == "" {
		return options, nil
	}
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	return append(options, nats.Secure(secure)), nil
}

// A laterDialer refuses until begin: [nats.Connect] tries every server once before it returns, which takes seconds when
// they do not answer, and goes on trying in the background after that.
type laterDialer struct{ begun atomic.Bool }

var errLater = errors.New("not yet")

func (d *laterDialer) begin() { d.begun.Store(true) }

// Dial is [net.Dialer.Dial] with a deadline.
func (d *laterDialer) Dial(network, address string) (net.Conn, error) {
	if !d.begun.Load() {
		return nil, errLater
	}
	return (&net.Dialer{Timeout: nats.DefaultTimeout}).Dial(network, address)
}

// connectionEvents makes of what the client says about its connection what [Events] promises: once that it broke, however
// often it cannot be made again, and once that it is there.
type connectionEvents struct {
	tell   func(error) // may be nil
	server *natsServer
	down   atomic.Bool
}

func (e *connectionEvents) options() []nats.Option {
	return []nats.Option{
		nats.Name("assetmatrix"),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // what is refused now may be allowed while we run
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOut),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { e.broke(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { e.broke(err) }),
		nats.ConnectHandler(func(*nats.Conn) { e.made() }),
		nats.ReconnectHandler(func(*nats.Conn) { e.made() }),
		// What a subscription has to say is said by what waits for its messages; the default prints to stderr.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
}

// watch is called now and then: of a server that is there and refuses us, the client says nothing by itself.
func (e *connectionEvents) watch(nc *nats.Conn) {
	if nc.Status() == nats.RECONNECTING {
		e.broke(nc.LastError())
	}
}

// broke tells why; nil is a connection that was closed by ourselves.
func (e *connectionEvents) broke(err error) {
	if err == nil || errors.Is(err, errLater) || !e.down.CompareAndSwap(false, true) || e.tell == nil {
		return
	}
	e.tell(err)
}

func (e *connectionEvents) made() {
	e.server.made.Store(time.Now().UnixNano())
	e.server.tails.end() // their consumers may be gone with the server
	if e.down.CompareAndSwap(true, false) && e.tell != nil {
		e.tell(nil)
	}
}

// tls returns what c says of TLS, for a client.
func (c NATSConfig) tls() (*tls.Config, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, err
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	return secure, nil
}

// tlsServer returns what c says of TLS, for the side that listens; nil is without. With an authority, clients must
// present a certificate of it.
func (c NATSConfig) tlsServer() (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	if secure.RootCAs != nil {
		secure.ClientCAs, secure.ClientAuth = secure.RootCAs, tls.RequireAndVerifyClientCert
	}
	return secure, nil
}

// Validate returns what is wrong with c in a process of that role, naming the key.
func (c NATSConfig) Validate(role string) error {
	switch {
	case role == roleEdge && c.URL == "":
		return asset.BadKey("nats.url", "empty", "where the control plane's log is, as this process is an edge")
	case !slices.Contains([]int{1, 3, 5}, c.Replicas):
		return asset.BadKey("nats.replicas", c.Replicas, "1, 3, 5")
	case (c.Cert == "") != (c.Key == ""):
		return asset.BadKey("nats.cert", "given without its partner", "nats.cert and nats.key, both or neither")
	}
	for _, check := range []func() error{c.validateURL, c.validateListen, c.validateFiles} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c NATSConfig) validateURL() error {
	const allowed = "nats://HOST:PORT or tls://HOST:PORT, several with commas between them"
	if c.URL == "" {
		if c.Credentials != "" {
			return asset.BadKey("nats.credentials", "given without nats.url", "empty, as the server is in this process")
		}
		return nil
	}
	for text := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		switch {
		case err != nil: // which repeats the URL, password and all
			return asset.BadKey("nats.url", "no URL", allowed)
		case u.Scheme != "nats" && u.Scheme != "tls", u.Hostname() == "", u.Path != "", u.RawQuery != "", u.Fragment != "":
			return asset.BadKey("nats.url", u.Redacted(), allowed)
		}
	}
	return nil
}

func (c NATSConfig) validateListen() error {
	if c.Listen == "" {
		return nil
	}
	if c.URL != "" {
		return asset.BadKey("nats.listen", "given beside nats.url", "one of the two: the server is in this process or elsewhere")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return asset.BadKey("nats.listen", fmt.Sprintf("%q", c.Listen), "HOST:PORT")
	}
	if c.Password == "" && !isLoopback(host) {
		return asset.BadKey("nats.listen", fmt.Sprintf("%q, and nats.password is empty", c.Listen), "a loopback address, or any with a password")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// validateFiles fails for files that cannot be read, or do not hold what they should.
func (c NATSConfig) validateFiles() error {
	for _, f := range []struct{ key, path string }{
		{"nats.credentials", c.Credentials}, {"nats.ca", c.CA}, {"nats.cert", c.Cert}, {"nats.key", c.Key},
	} {
		if f.path == "" {
			continue
		}
		if _, err := os.ReadFile(f.path); err != nil {
			return asset.BadKey(f.key, fmt.Sprintf("%q: %v", f.path, cause(err)), "a file that can be read")
		}
	}
	if _, err := c.tls(); err != nil {
		return asset.BadKey("nats.cert", err, "PEM files: the authorities in nats.ca, a certificate in nats.cert, its key in nats.key")
	}
	return nil
}

// cause returns what the system said, without the path.
func cause(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
