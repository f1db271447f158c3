package catalog

import (
	"bytes"
	"hash/crc32"
	"os"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// resealed returns data with checksums that hold, so that what is behind them is reached; nil when its header says what
// cannot be.
func resealed(data []byte) []byte {
	if len(data) < headBytes {
		return nil
	}
	data = bytes.Clone(data)
	le.PutUint32(data[headBytes-4:], crc32.Checksum(data[:headBytes-4], castagnoli))
	h, err := decodeHead(data, uint64(len(data)))
	if err != nil {
		return nil
	}
	b := builder{baseHead: h}
	b.seal(data)
	return data
}

// FuzzBase reads whatever is given for a base, as it is and with checksums that hold: it is refused, or damaged, or
// answers something, and all that within bounds.
func FuzzBase(f *testing.F) {
	u := newUniverse(1)
	u.names, u.ids, u.originals = []string{"x", "y", "a/1.jpg"}, []string{"a", "b", "0190c5a8-0000-7000-8000-000000000001"}, []asset.Digest{{1}, {2}}
	grown := with(putAsset("0190c5a8-0000-7000-8000-000000000001", 1, 2), func(a *asset.Asset) {
		a.Tags, a.Focal, a.ArchivedAt = []string{"sale"}, &asset.Point{X: 0.5}, time.Unix(1, 0)
		a.Versions[0].Picture = &asset.Picture{Width: 3, ThumbHash: "AA==", Dominant: "#a0b1c2"}
	})
	for _, records := range [][]Mutation{
		{},
		{putProduct("shop"), putAsset("a", 1), putLink("shop", "x", "a")},
		{putProduct("shop"), putProduct("blog"), putAsset("a", 1), grown, putLink("blog", "a/1.jpg", "a"), putLink("shop", "x", grown.PutAsset.ID), putLink("shop", "y", "a")},
	} {
		data, err := os.ReadFile(writtenBase(f, made(f, records...)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, resealed(data)} {
			b, err := newBase("fuzzed", data, bytes.NewReader(data))
			if err != nil {
				continue
			}
			v := newView(b)
			u.answers(v)
			_ = b.verify(t.Context())
			f := &folding{view: v, written: map[string]bool{}}
			f.records(func(Mutation) bool { return true })
			for _, id := range u.ids { // what a writer does
				v.deleteAsset(id)
			}
			u.answers(v)
		}
	})
}

// FuzzBase's second half reaches the records: a base whose records say what cannot be is damaged, and ends.
func TestBaseThatSaysWhatCannotBe(t *testing.T) {
	u, v := smallMatrix(t)
	data, err := os.ReadFile(writtenBase(t, v))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := newBase("whole", data, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	records := int(whole.recordsEnd) - headBytes
	damaged := 0
	for range 400 {
		spoiled := bytes.Clone(data)
		for range 1 + u.rnd.IntN(20) {
			spoiled[headBytes+u.rnd.IntN(records)] = byte(u.rnd.Uint32() >> (8 * u.rnd.IntN(4)))
		}
		spoiled = resealed(spoiled)
		b, err := newBase("spoiled", spoiled, bytes.NewReader(spoiled))
		if err != nil {
			continue
		}
		v := newView(b)
		u.answers(v)
		if v.Err() != nil {
			damaged++
		}
	}
	if damaged < 100 {
		t.Error("few were noticed:", damaged)
	}
}
