package asset

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// A Key names immutable bytes. It is comparable, has no product in it (two products that want the same pixels share
// one rendition), and nothing of a request reaches it but the resolved path and the negotiated format.
type Key struct {
	// Original is the SHA-256 of the original's bytes.
	Original Digest
	// Variant is what to do to the original, in canonical form ([Variant.Canonical]) with a concrete Format.
	// The zero Variant is the original itself.
	Variant Variant
	// Generation rises with every purge that concerns the asset, so that a purged rendition can never be named again.
	// It is 0 for originals, which are named by their digest alone.
	Generation uint64
}

// OriginalKey returns the key of the original that k is made from.
func (k Key) OriginalKey() Key { return Key{Original: k.Original} }

// IsOriginal reports whether k names an original rather than a rendition.
func (k Key) IsOriginal() bool { return k.Variant == Variant{} }

// AppendText appends the key's one spelling, "sha256hex/variant" with "@generation" when there is one.
func (k Key) AppendText(b []byte) ([]byte, error) {
	b = hex.AppendEncode(b, k.Original[:])
	b = append(b, '/')
	b = k.Variant.append(b)
	if k.Generation != 0 {
		b = append(b, '@')
		b = strconv.AppendUint(b, k.Generation, 10)
	}
	return b, nil
}

// String returns the spelling of [Key.AppendText].
func (k Key) String() string {
	b, _ := k.AppendText(nil)
	return string(b)
}

// Hash returns the xxhash64 of the key's spelling. It names files and memory slots; it is not collision resistant, so
// whoever stores by it also keeps the key and compares.
func (k Key) Hash() uint64 {
	var buf [512]byte
	b, _ := k.AppendText(buf[:0])
	return xxhash.Sum64(b)
}

// A Digest is a SHA-256.
type Digest [sha256.Size]byte

// String returns the digest as 64 lowercase hexadecimal characters.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText implements [encoding.TextMarshaler] with the spelling of [Digest.String].
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts exactly 64 hexadecimal characters.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("%w: a digest is 64 hexadecimal characters, not %d", ErrInvalid, len(text))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("%w: digest: %w", ErrInvalid, err)
	}
	return nil
}
