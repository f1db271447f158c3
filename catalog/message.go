package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/assetmatrix/assetmatrix/asset"
)

// The schema that this program writes, and the newest that it reads. A change that an older reader could not apply
// raises schema, and min_reader in the messages that have the change; an additive change raises neither.
const (
	schema = 1
	reader = 1
)

// Limits of a message in bytes. The server takes 1 MiB with headers; the rest is room for the message's own frame.
const (
	maxMessageBytes     = 1_000_000
	maxTransactionBytes = maxMessageBytes - 1_000
)

// A message is one entry of the log: a group of transactions that were committed together. On the wire it is
//
//	{"epoch":…,"prev_hash":…,"schema":…,"min_reader":…,"commit_ts":…,"transactions":[{"txid":…,"mutations":[…]},…],"hash":"…"}
//
// The hash is the last member, spelled exactly `,"hash":"` + 64 lowercase hexadecimal digits + `"}`. It is the SHA-256 of all the
// bytes before that spelling, as they were sent. So it covers also members that a reader does not know, and nothing has
// to be put into a canonical form a second time. prev_hash is the hash of the message before, zero in the first: each
// hash vouches for the whole history before it.
type message struct {
	header
	Transactions []transaction `json:"transactions"`

	hash asset.Digest
}

// A header is what a message says about itself.
type header struct {
	// Epoch is the random name of this history, chosen by whoever wrote its first message.
	Epoch    string       `json:"epoch"`
	PrevHash asset.Digest `json:"prev_hash"`
	Schema   int          `json:"schema"`
	// MinReader is the oldest reader that understands the message.
	MinReader int       `json:"min_reader"`
	CommitTS  time.Time `json:"commit_ts"`
}

// A transaction is the mutations of one Update, all or none.
type transaction struct {
	TxID      string     `json:"txid"` // random
	Mutations []Mutation `json:"mutations"`
}

var (
	hashStart = []byte(`,"hash":"`)
	hashEnd   = []byte(`"}`)
)

// encodeMessage returns the message with those transactions, each encoded already.
func encodeMessage(h header, transactions [][]byte) ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	b = append(b[:len(b)-1], `,"transactions":[`...)
	b = append(b, bytes.Join(transactions, []byte(","))...)
	b = append(b, ']')
	sum := sha256.Sum256(b)
	b = append(b, hashStart...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, hashEnd...), nil
}

// decodeMessage returns the message in data. It fails with [asset.ErrCorrupt] when the hash does not hold, and says so
// when the message, or a mutation in it, is for newer programs than this one.
func decodeMessage(data []byte) (*message, error) {
	hash, err := checkHash(data)
	if err != nil {
		return nil, err
	}
	m := &message{hash: hash}
	err = jsonv2.Unmarshal(data, m)
	if m.MinReader > reader { // said before err, which may come of it
		return nil, fmt.Errorf("it is for readers of schema %d or later, this program reads up to %d: it needs a newer one", m.MinReader, reader)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", asset.ErrCorrupt, err)
	}
	return m, m.checkMutations()
}

// checkHash returns the hash that data ends with, when it is the right one.
func checkHash(data []byte) (hash asset.Digest, err error) {
	body, rest, found := cutLast(data, hashStart)
	text, ended := bytes.CutSuffix(rest, hashEnd)
	if !found || !ended {
		return hash, fmt.Errorf("%w: it does not end with a hash", asset.ErrCorrupt)
	}
	if hash = sha256.Sum256(body); hash.String() != string(text) {
		return hash, fmt.Errorf("%w: its bytes have the hash %s, it says %.64q", asset.ErrCorrupt, hash, text)
	}
	return hash, nil
}

func cutLast(b, sep []byte) (before, after []byte, found bool) {
	i := bytes.LastIndex(b, sep)
	if i < 0 {
		return nil, nil, false
	}
	return b[:i], b[i+len(sep):], true
}

func (m *message) checkMutations() error {
	for _, t := range m.Transactions {
		for i := range t.Mutations {
			if err := t.Mutations[i].single(); err != nil {
				return fmt.Errorf("transaction %s, mutation %d: %w", t.TxID, i, err)
			}
			t.Mutations[i].clip()
		}
	}
	return nil
}

// errChain is wrapped by what a message says when it is not the next one of a view's history.
var errChain = errors.New("it does not continue the history")

// admit fails unless m, read at sequence seq, is the next message of v's history.
func (v *View) admit(seq uint64, m *message) error {
	switch {
	case seq != v.revision+1:
		return fmt.Errorf("%w: sequence %d is missing", errChain, v.revision+1)
	case v.epoch != "" && m.Epoch != v.epoch:
		return fmt.Errorf("%w: its epoch is %q, the history's %q", errChain, m.Epoch, v.epoch)
	case m.PrevHash != v.hash:
		return fmt.Errorf("%w: it follows a message with hash %s, the one before has %s", errChain, m.PrevHash, v.hash)
	}
	return nil
}

// advance gives m its effect on v, which must not be published yet.
func (v *View) advance(seq uint64, m *message) {
	v.committing = m.CommitTS
	for _, t := range m.Transactions {
		for i := range t.Mutations {
			v.apply(&t.Mutations[i])
		}
	}
	v.revision, v.epoch, v.hash, v.applied = seq, m.Epoch, m.hash, time.Now()
}
