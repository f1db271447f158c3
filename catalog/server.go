package catalog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A natsServer is the connection to the log's server, and that server itself when it is in this process. The connection
// outlives the server: when that is started again, the connection is to the new one.
type natsServer struct {
	dir      string
	settings NATSConfig
	line     func(string) // takes what the server says; may be nil
	lock     *os.File
	srv      atomic.Pointer[server.Server] // nil when it is elsewhere
	password string                        // of this process's own connection
	port     int                           // where edges are accepted, once that is known
	nc       *nats.Conn
	said     *connectionEvents // of nc; nil when nobody is told
	tails    tails
	made     atomic.Int64 // when the connection was made, in Unix nanoseconds
}

var _ nats.InProcessConnProvider = (*natsServer)(nil)

// JetStream's own limits. The store's is far beyond any disk, as the log has none: left unset, it would be three
// quarters of what the disk has free at start, and a log that was once refused for it would be refused for ever.
// Memory holds nothing but the state of the ordered consumers.
const (
	maxStoreBytes  = 1 << 50
	maxMemoryBytes = 64 << 20
)

// startTimeout is how long the server may take from having read its store to serving.
const startTimeout = 10 * time.Second

// tlsTimeout is how long the handshake of an edge may take.
const tlsTimeout = 5 * time.Second

// The users of the server in this process, when it accepts others.
const (
	controlUser = "control"
	edgeUser    = "edge"
)

// startServer locks the directory, starts the server in it if cfg does not say that it is elsewhere, and connects.
func startServer(cfg Config, ev Events) (_ *natsServer, err error) {
	s := &natsServer{dir: cfg.Dir, settings: cfg.NATS, line: ev.Server, password: rand.Text()}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.lock, err = lockDir(s.dir); err != nil {
		return nil, err
	}
	if cfg.NATS.URL == "" {
		if err = s.start(); err != nil {
			return nil, err
		}
	}
	if s.nc, err = connect(cfg, s, ev); err != nil {
		return nil, fmt.Errorf("nats connection: %w", err)
	}
	s.made.CompareAndSwap(0, time.Now().UnixNano())
	return s, nil
}

// since returns when the connection was made; before that, when it was begun.
func (s *natsServer) since() time.Time { return time.Unix(0, s.made.Load()) }

// start starts a server in the directory; one that does not serve is there to be stopped.
func (s *natsServer) start() error {
	if err := dropIndex(s.dir); err != nil {
		return fmt.Errorf("nats server: %w", err)
	}
	options, err := s.options()
	if err != nil {
		return fmt.Errorf("nats server: %w", err)
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("nats server: %w", err)
	}
	log := &serverLog{line: s.line}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	s.srv.Store(srv)
	if err := ready(srv, log); err != nil {
		return err
	}
	if at, ok := srv.Addr().(*net.TCPAddr); ok {
		s.port = at.Port // the same one after a restart, whatever was asked for
	}
	return nil
}

// dropIndex removes the stream's index in dir, so that the server counts the messages themselves. A store that failed to
// write the first message of a block counts it all the same, keeps that count in the index when it stops, and would go by
// it: one message would be missing for ever. The index knows nothing else, as no message is ever deleted.
func dropIndex(dir string) error {
	index := filepath.Join(dir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams", streamName, "msgs", "index.db")
	err := os.Remove(index)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // what is wrong with the directory, the server says
		return nil
	}
	return err
}

// restart starts the server again, on what is in the directory. It must not be called while close is.
func (s *natsServer) restart() error {
	s.stop()
	return s.start()
}

// stop returns when the server has let go of the directory.
func (s *natsServer) stop() {
	if srv := s.srv.Load(); srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// InProcessConn connects to the server that there is now.
func (s *natsServer) InProcessConn() (net.Conn, error) { return s.srv.Load().InProcessConn() }

func (s *natsServer) options() (*server.Options, error) {
	o := &server.Options{
		ServerName:             "assetmatrix",
		DontListen:             true,
		JetStream:              true,
		StoreDir:               s.dir,
		SyncAlways:             true,
		JetStreamMaxMemory:     maxMemoryBytes,
		JetStreamMaxStore:      maxStoreBytes,
		NoSigs:                 true,
		NoLog:                  true,
		DisableJetStreamBanner: true,
	}
	if s.settings.Listen == "" {
		return o, nil
	}
	return o, s.accept(o)
}

// accept makes o a server that edges can connect to.
func (s *natsServer) accept(o *server.Options) (err error) {
	host, port, err := net.SplitHostPort(s.settings.Listen)
	if err != nil {
		return err
	}
	if o.Port = s.port; o.Port == 0 {
		if o.Port, err = net.LookupPort("tcp", port); err != nil {
			return err
		}
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.Host, o.DontListen = host, false
	edges, err := share(o)
	if err != nil {
		return err
	}
	o.Users = []*server.User{
		{Username: controlUser, Password: s.password},
		{Username: edgeUser, Password: s.settings.Password, Permissions: edgePermissions(), Account: edges},
	}
	if s.settings.Password == "" {
		o.NoAuthUser = edgeUser
	}
	if o.TLSConfig, err = s.settings.tlsServer(); err != nil || o.TLSConfig == nil {
		return err
	}
	o.TLS, o.TLSVerify, o.TLSTimeout = true, o.TLSConfig.ClientCAs != nil, tlsTimeout.Seconds()
	return nil
}

// edgeAccount is where edges are. Whoever asks also says where the answer goes, and the server does not look whether he
// may send there himself: in the account of the log, an edge could have the answer to any question appended to it. From an
// account of their own nothing gets over but what that imports, and no answer leads back.
const edgeAccount = "EDGES"

// What edges may ask of the log's account, and what they hear from there.
var (
	edgeQuestions = []string{
		"$JS.API.STREAM.INFO." + streamName,
		"$JS.API.STREAM.MSG.GET." + streamName,
		"$JS.API.CONSUMER.CREATE." + streamName + ".>",
		"$JS.API.CONSUMER.INFO." + streamName + ".>",
		"$JS.API.CONSUMER.MSG.NEXT." + streamName + ".>",
		"$JS.API.CONSUMER.DELETE." + streamName + ".>",
		edgeSubject,
	}
	edgeNews = []string{writerSubject, askSubject}
)

// share gives o the account of edges beside the log's, and what they reach from there.
func share(o *server.Options) (edges *server.Account, err error) {
	log, edges := server.NewAccount(server.DEFAULT_GLOBAL_ACCOUNT), server.NewAccount(edgeAccount)
	readers := []*server.Account{edges}
	// The first is never asked: an account that does not import it gets a JetStream API of its own, which answers as well.
	for _, s := range append([]string{server.JSApiAccountInfo}, edgeQuestions...) {
		// Streamed, as a consumer answers one question with many messages.
		err = errors.Join(err, log.AddServiceExportWithResponse(s, server.Streamed, readers), edges.AddServiceImport(log, s, s))
	}
	for _, s := range edgeNews {
		err = errors.Join(err, log.AddStreamExport(s, readers), edges.AddStreamImport(log, s, ""))
	}
	o.Accounts = []*server.Account{log, edges}
	return edges, err
}

// edgePermissions let an edge read the log and tell how far it is, and nothing else.
func edgePermissions() *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: slices.Clone(edgeQuestions)},
		Subscribe: &server.SubjectPermission{Allow: append([]string{"_INBOX.>"}, edgeNews...)},
	}
}

// ready fails unless the server serves, and does so durably.
func ready(srv *server.Server, log *serverLog) error {
	if fatal := log.fatalLine(); fatal != "" { // what would have ended a process of its own
		return fmt.Errorf("nats server: %s", fatal)
	}
	if !srv.ReadyForConnections(startTimeout) {
		return fmt.Errorf("nats server does not serve within %s", startTimeout)
	}
	if log := srv.GlobalAccount(); !log.JetStreamEnabled() { // by itself it is only where there is no other account
		if err := log.EnableJetStream(nil, nil); err != nil {
			return fmt.Errorf("nats server: %w", err)
		}
	}
	return requireSync(srv.JetStreamConfig())
}

// requireSync fails unless every acknowledged write is on the disk: JetStream's default flushes every two minutes and
// lost all of 110,248 acknowledged writes when the power went.
func requireSync(c *server.JetStreamConfig) error {
	if c == nil || !c.SyncAlways {
		return errors.New("nats server runs without sync_interval: always; acknowledged writes would not survive a power loss")
	}
	return nil
}

// healthy fails when the server or the connection to it is gone.
func (s *natsServer) healthy() error {
	if srv := s.srv.Load(); srv != nil && !srv.Running() {
		return fmt.Errorf("%w: the nats server has stopped", asset.ErrUnavailable)
	}
	if status := s.nc.Status(); status != nats.CONNECTED {
		return fmt.Errorf("%w: the nats connection is %s", asset.ErrUnavailable, strings.ToLower(status.String()))
	}
	return nil
}

// writeError returns why the server takes no more messages, in its own words; "" when it does, or is in another process.
func (s *natsServer) writeError() string {
	srv := s.srv.Load()
	if srv == nil {
		return "" // it keeps that to itself
	}
	health := srv.Healthz(&server.HealthzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Stream: streamName, Details: true})
	for _, e := range health.Errors {
		if e.Type != server.HealthzErrorConn { // which the connection finds out about
			return e.Error
		}
	}
	return ""
}

// close stops what was started. The lock goes last: nobody else may open the store before the server has let go of it.
func (s *natsServer) close() {
	if s.nc != nil {
		s.nc.Close()
	}
	s.stop()
	if s.lock != nil {
		_ = s.lock.Close() // flock(2): closing the last descriptor unlocks
	}
}

// lockDir makes dir and takes the lock in it, which says that one process uses the store.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, 32))
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by process %s", dir, owner)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, writeOwner(f)
}

// writeOwner says in the lock file whose it is, for the error that the next one gets.
func writeOwner(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Append(nil, os.Getpid()), 0)
	return err
}

// A serverLog is the embedded server's logger: it passes on what goes wrong and drops the rest.
type serverLog struct {
	line func(string) // may be nil

	mu    sync.Mutex // guards fatal
	fatal string     // the first fatal error
}

var _ server.Logger = (*serverLog)(nil)

// Noticef drops the line.
func (l *serverLog) Noticef(string, ...any) {}

// Debugf drops the line.
func (l *serverLog) Debugf(string, ...any) {}

// Tracef drops the line.
func (l *serverLog) Tracef(string, ...any) {}

// plaintext is what the server says of passwords in its configuration. There is no file that has ours, and the one of the
// connection in this process is made at random.
const plaintext = "Plaintext passwords"

// Warnf passes a warning on.
func (l *serverLog) Warnf(format string, v ...any) {
	if !strings.HasPrefix(format, plaintext) {
		l.say(fmt.Sprintf(format, v...))
	}
}

// Errorf passes an error on.
func (l *serverLog) Errorf(format string, v ...any) { l.say(fmt.Sprintf(format, v...)) }

// Fatalf keeps the error for whoever has started the server, instead of ending the process.
func (l *serverLog) Fatalf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.say(line)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = line
	}
}

func (l *serverLog) say(line string) {
	if l.line != nil {
		l.line(line)
	}
}

func (l *serverLog) fatalLine() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
