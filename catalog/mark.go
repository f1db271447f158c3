package catalog

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A mark is a small file that remembers how far the log has been applied. It is there because a JetStream server that
// was killed takes a damaged record for one that was cut off in writing: it drops the record and everything behind it,
// and says nothing. What is left is a log without a fault, only shorter.
//
// The mark is written in place and not flushed: kill -9 leaves it exact, a power loss may leave it behind, where it
// proves less but nothing false, as the log has been flushed before the mark is set.
type mark struct {
	file     *os.File
	revision uint64
	hash     asset.Digest
}

const markFormat = "%020d %s\n"

// openMark opens the mark in dir; a missing or unreadable one marks nothing.
func openMark(dir string) (*mark, error) {
	f, err := os.OpenFile(filepath.Join(dir, "applied"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	m := &mark{file: f}
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	var hash string
	if _, err := fmt.Sscanf(string(text), markFormat, &m.revision, &hash); err != nil || m.hash.UnmarshalText([]byte(hash)) != nil {
		m.revision, m.hash = 0, asset.Digest{}
	}
	return m, nil
}

// set remembers that v is applied.
func (m *mark) set(v *View) {
	m.revision, m.hash = v.revision, v.hash
	_, _ = m.file.WriteAt(fmt.Appendf(nil, markFormat, v.revision, v.hash), 0) // one that is behind proves less, that is all
}

// checkEnd fails when the log ends, with sequence last, before what was applied.
func (m *mark) checkEnd(last uint64) error {
	if last >= m.revision {
		return nil
	}
	return &FrozenError{last + 1, fmt.Errorf(
		"%w: the log ends before it, but %d messages were applied here; restore the directory from a backup, or remove the file %s to go on without what is lost",
		asset.ErrCorrupt, m.revision, m.file.Name())}
}

// checkHash fails when the message at seq is not the one that was applied.
func (m *mark) checkHash(seq uint64, hash asset.Digest) error {
	if seq != m.revision || hash == m.hash {
		return nil
	}
	return fmt.Errorf("%w: a message with hash %s was applied here before, this one has %s", errChain, m.hash, hash)
}

func (m *mark) close() { _ = m.file.Close() }
