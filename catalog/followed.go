package catalog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A followed is a small file that remembers when the view last was known to show all that was committed, so that a replica
// that is started again does not say that it is younger than it is. It is written in place, once a second, and not
// flushed: what is behind after a power loss is older, never younger. A revision stands beside the time because the view
// may come back older than it was; then the time proves nothing.
type followed struct{ file *os.File }

const followedFormat = "%020d %020d %s\n" // revision, microseconds since 1970, hash

// openFollowed opens the file in dir and returns since when v, the view that was found there, may miss something.
func openFollowed(dir string, v *View) (*followed, time.Time, error) {
	file, err := os.OpenFile(filepath.Join(dir, "followed"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, time.Time{}, err
	}
	f := &followed{file}
	text, err := io.ReadAll(io.LimitReader(file, 256))
	if err != nil {
		f.close()
		return nil, time.Time{}, err
	}
	return f, f.since(string(text), v), nil
}

// since returns the time in text if v is no older. Otherwise it is when v's last message was committed: nothing came
// between that and the ones before it.
func (f *followed) since(text string, v *View) time.Time {
	var (
		revision uint64
		micros   int64
		hash     string
	)
	_, err := fmt.Sscanf(text, followedFormat, &revision, &micros, &hash)
	at := time.UnixMicro(micros)
	proves := err == nil && (v.revision > revision || v.revision == revision && hash == v.hash.String())
	if !proves || at.Before(v.committing) || at.After(time.Now()) {
		return v.committing
	}
	return at
}

func (f *followed) set(v *View, at time.Time) {
	_, _ = f.file.WriteAt(fmt.Appendf(nil, followedFormat, v.revision, at.UnixMicro(), v.hash), 0) // one that is behind is older, that is all
}

func (f *followed) close() { _ = f.file.Close() }

// idPattern is the random part of a replica's name.
var idPattern = regexp.MustCompile(`^[a-z2-7]{10}\n$`)

// replicaID returns the name of the replica in dir: the host's, and a random one that is kept there. One that is damaged
// gives way to another: who is called by it could not be heard of, and so would not be waited for.
func replicaID(dir string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	path := filepath.Join(dir, "replica-id")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !idPattern.Match(text) {
		text = []byte(strings.ToLower(rand.Text()[:10]) + "\n")
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return "", err
	}
	return host + "-" + strings.TrimSpace(string(text)), nil
}

// errEdge is what a process that only follows says to writers.
var errEdge = &asset.Fault{Kind: asset.ErrForbidden, Detail: "an edge cannot write; writes go to the control plane"}
