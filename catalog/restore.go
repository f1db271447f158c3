package catalog

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Restore makes the matrix of a backup in an empty system: cfg.Dir must hold no log, or cfg.NATS.URL lead to a cluster
// without one. The restored matrix has an epoch of its own, so that replicas which have seen more than the backup notice, and
// goes on at a revision that no history before it can have come to, so that nothing that was told of one (min_revision, a place
// in the changes, the key of a purged rendition) means anything in it. The manifest is the backup's, with the new epoch. Nothing is left
// behind when it fails.
//
// It fails with an [asset.Fault] of kind [asset.ErrConflict] when the system is not empty, and with [asset.ErrCorrupt]
// when the backup is not whole.
func Restore(ctx context.Context, cfg Config, r io.Reader) (m Manifest, err error) {
	if err := cfg.Validate(); err != nil {
		return Manifest{}, fmt.Errorf("catalog restore: %w", err)
	}
	if cfg.Role == roleEdge {
		return Manifest{}, errEdge
	}
	made, err := beginRestore(directory(cfg.Dir))
	if err != nil {
		return Manifest{}, fmt.Errorf("catalog restore: %w", err)
	}
	cfg.NATS.Listen = "" // nobody comes before it is all there
	s, err := startServer(cfg, Events{})
	if err != nil {
		return Manifest{}, fmt.Errorf("catalog restore: %w", err)
	}
	m, err = restore(ctx, s, cfg, r)
	s.close()
	if err == nil {
		err = directory(cfg.Dir).endRestore()
	}
	if err != nil {
		clearDir(cfg.Dir, made)
		return Manifest{}, fmt.Errorf("catalog restore: %w", err)
	}
	return m, nil
}

// restore makes the log last: until then there is nothing that anybody could take for a matrix.
func restore(ctx context.Context, s *natsServer, cfg Config, r io.Reader) (Manifest, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return Manifest{}, err
	}
	if err := absent(ctx, js); err != nil {
		return Manifest{}, err
	}
	m, revision, err := restoreBase(ctx, directory(cfg.Dir), r)
	if err != nil {
		return Manifest{}, err
	}
	log := streamConfig(cfg.NATS.Replicas)
	log.FirstSeq = revision + 1
	made, err := js.CreateStream(ctx, log)
	if err != nil {
		return Manifest{}, err
	}
	if state := made.CachedInfo().State; state.LastSeq != revision {
		return Manifest{}, fmt.Errorf("the log ends with %d, not with %d", state.LastSeq, revision)
	}
	return m, nil
}

// absent fails when there is a log already. A connection to other processes may have to be waited for.
func absent(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	for {
		_, err := js.Stream(ctx, streamName)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			return nil
		case err == nil:
			return notEmpty("the log is there already")
		case ctx.Err() != nil:
			return fmt.Errorf("%w: the log's server: %w", asset.ErrUnavailable, err)
		}
		pause(ctx, tailRetryWait)
	}
}

func notEmpty(detail string) error {
	return &asset.Fault{Kind: asset.ErrConflict, Detail: detail, Allowed: "an empty directory, and a cluster without the stream " + streamName}
}

// restoreBase writes the base of the backup, with an epoch and a revision of its own.
func restoreBase(ctx context.Context, dir directory, r io.Reader) (m Manifest, revision uint64, err error) {
	in := bufio.NewReader(r)
	m, err = decodeBackup(in)
	if err != nil {
		return m, 0, err
	}
	path := dir.download()
	defer func() { _ = os.Remove(path) }()
	if err := receive(path, &m, in); err != nil {
		return m, 0, err
	}
	if err := check(ctx, path, &m); err != nil {
		return m, 0, err
	}
	_, v, err := openView(path)
	if err != nil {
		return m, 0, err
	}
	m.Epoch, v.revision = rand.Text(), beyond(m.Revision, time.Now())
	return m, v.revision, writeBase(ctx, dir.base(v.revision), v, m.Epoch)
}

// beyond returns a revision that is higher than any that a matrix with a backup of that revision came to before now: the
// microseconds from 1970, of which there have been more than transactions. JSON's numbers hold it until 2255.
func beyond(revision uint64, now time.Time) uint64 { return max(revision+1, uint64(now.UnixMicro())) }

// maxManifestBytes is far beyond any manifest.
const maxManifestBytes = 4096

// decodeBackup reads the head of a backup, as encodeBackup writes it.
func decodeBackup(in *bufio.Reader) (m Manifest, err error) {
	head, err := readLine(in)
	if err != nil {
		return m, err
	}
	sum, ok := strings.CutPrefix(head, backupMagic)
	if !ok {
		return m, fmt.Errorf("%w: it is no backup that this program can read", asset.ErrCorrupt)
	}
	line, err := readLine(in)
	if err != nil {
		return m, err
	}
	if asset.Digest(sha256.Sum256([]byte(line))).String()+"\n" != sum {
		return m, fmt.Errorf("%w: its manifest is damaged", asset.ErrCorrupt)
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil || m.Size < 1 {
		return m, fmt.Errorf("%w: its manifest cannot be read", asset.ErrCorrupt)
	}
	return m, nil
}

func readLine(in *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < maxManifestBytes {
		b, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if line = append(line, b); b == '\n' {
			return string(line), nil
		}
	}
	return "", fmt.Errorf("%w: it is no backup", asset.ErrCorrupt)
}

// emptyDir fails unless dir is empty, but for the lock, or not there yet: then made is true.
func emptyDir(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	for _, e := range entries {
		if e.Name() != "lock" {
			return false, notEmpty("the directory of the matrix is not empty")
		}
	}
	return false, err
}

// beginRestore makes the directory one that is being restored, which nothing but another restoration begins with. made says
// that it was not there.
func beginRestore(d directory) (made bool, err error) {
	if d.unrestored() != nil {
		return false, d.clearRestored()
	}
	if made, err = emptyDir(string(d)); err != nil {
		return made, err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return made, err
	}
	if err := os.WriteFile(filepath.Join(string(d), restoringName), nil, 0o600); err != nil {
		return made, err
	}
	return made, d.sync()
}

// clearRestored removes what a restoration that was killed has left.
func (d directory) clearRestored() error {
	lock, err := lockDir(string(d))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	left, err := filepath.Glob(filepath.Join(string(d), "*"))
	for _, path := range left {
		if name := filepath.Base(path); name != "lock" && name != restoringName {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return err
}

// restoringName is a file that is there while a restoration is not complete.
const restoringName = "restoring"

func (d directory) endRestore() error {
	if err := os.Remove(filepath.Join(string(d), restoringName)); err != nil {
		return err
	}
	return d.sync()
}

// unrestored fails when a restoration into the directory did not end.
func (d directory) unrestored() error {
	if _, err := os.Stat(filepath.Join(string(d), restoringName)); err != nil {
		return nil
	}
	return fmt.Errorf("%w: a restore into %s was interrupted; restore the backup again, or remove the directory", asset.ErrCorrupt, d)
}

// clearDir removes what a failed restoration has left in dir, which was empty; and dir, when that was made as well.
func clearDir(dir string, made bool) {
	if made {
		_ = os.RemoveAll(dir)
		return
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, path := range left {
		_ = os.RemoveAll(path)
	}
}
