package catalog

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A table is an open-addressing hash table in a base. A bucket is a cache line of eight slots; a slot is 24 bits of the
// key's hash and 40 bits of a record's offset, 0 when it is free. A key stands in the first free slot from its own
// bucket on, and nothing is ever taken out, so a free slot ends the search. At seven tenths full one key in 25 stands
// outside its bucket.
type table struct {
	at      uint64 // where it begins in the file
	buckets uint64
}

const (
	bucketBytes = 64
	slotBytes   = 8
	offsetBits  = 40
	maxOffset   = 1<<offsetBits - 1
)

// bucketsFor returns how many buckets n keys need.
func bucketsFor(n uint64) uint64 { return n*10/(7*bucketBytes/slotBytes) + 1 }

// home returns the bucket of a hash: the high bits choose it, the low bits are in the slot.
func (t table) home(hash uint64) uint64 {
	bucket, _ := bits.Mul64(hash, t.buckets)
	return bucket
}

// after returns the bucket behind one.
func (t table) after(bucket uint64) uint64 {
	if bucket++; bucket == t.buckets {
		return 0
	}
	return bucket
}

// slotOf returns the slot of a key with that hash and record.
func slotOf(hash, off uint64) uint64 { return hash<<offsetBits | off }

// A search goes through the slots of a table that may be a key's.
type search struct {
	table
	base   *base
	hash   uint64
	bucket uint64
	left   uint64 // buckets that have not been looked into
	slot   uint64 // within the bucket, in bytes
}

func (b *base) search(t table, hash uint64) search {
	return search{table: t, base: b, hash: hash, bucket: t.home(hash), left: t.buckets}
}

// next returns the offset in the next slot with the key's fingerprint; 0 when there is none.
func (s *search) next() uint64 {
	for ; s.left > 0; s.left-- {
		at := s.at + s.bucket*bucketBytes
		if !s.base.touch(at, bucketBytes) {
			return 0
		}
		line := s.base.data[at : at+bucketBytes]
		for s.slot < bucketBytes {
			slot := le.Uint64(line[s.slot:])
			if slot == 0 {
				return 0
			}
			s.slot += slotBytes
			if slot>>offsetBits == s.hash&(1<<(64-offsetBits)-1) {
				return slot & maxOffset
			}
		}
		s.bucket, s.slot = s.after(s.bucket), 0
	}
	return 0
}

// hashLink hashes the two as if they were one string, without making it.
func hashLink(product, name string) uint64 {
	return xxhash.Sum64String(name) ^ bits.RotateLeft64(xxhash.Sum64String(product), 23)
}

func hashAsset(id string) uint64 { return xxhash.Sum64String(id) }

func hashOriginal(d asset.Digest) uint64 { return xxhash.Sum64(d[:]) }
