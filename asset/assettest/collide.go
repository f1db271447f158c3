package assettest

import (
	"encoding/hex"

	"github.com/assetmatrix/assetmatrix/asset"
)

// Two halves of 64 hexadecimal characters after which xxhash64 is in the same state. A half is a stripe of four lanes of
// 8 characters, and these stripes differ in the first lane. Its accumulator is round(round(seed, x), y), x and y being
// the first 8 characters of the two halves, with round(acc, x) = rotl(acc + x·P2, 31)·P1. So another x' needs a y' with
// y − y' = (round(seed, x') − round(seed, x)) / P2 modulo 2⁶⁴. About one pair of x and x' in a million has such y and y'
// in hexadecimal; this one was found by trying.
const (
	collidingA = "fa6c2b4690fabdeb729e97d66031ca3e" + "0aaa0a801404fcd70761915d50ffe28f"
	collidingB = "3ebf985090fabdeb729e97d66031ca3e" + "f92223a21404fcd70761915d50ffe28f"
)

// Collide returns two keys with the variant v and different originals whose [asset.Key.Hash] is the same: the spelling
// of a key begins with its original's digest.
func Collide(v asset.Variant) (a, b asset.Key) {
	a.Variant, b.Variant = v, v
	_, _ = hex.Decode(a.Original[:], []byte(collidingA)) // cannot fail
	_, _ = hex.Decode(b.Original[:], []byte(collidingB))
	return a, b
}
