package cache

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/highwayhash"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An entry describes a file of the disk cache:
//
//	body     size bytes, from offset 0, so that the file can be sent as it is
//	meta     width, height, epoch, length of the key, quality: uint32; the key's spelling; the media type
//	sums     the xxhash64 of each block of 64 KiB of the body
//	footer   magic; version, length of meta: uint32; size: uint64; xxhash64 of meta, sums and the footer so far
//
// Where the bytes are kept in another file (see [asset.Object]), there is no body, another magic, and in the place of the
// media type, of which there is none, a secret of 32 bytes and that file's path. Others may write to that file, and other bytes with
// the same xxhash64 are made in no time. So the sums are HighwayHash under the secret, which nobody knows but the entry.
//
// Numbers are little endian. The lengths add up to that of the file exactly, and every byte is under a checksum: a file
// that was changed, cut or only half written by the time of a power cut is noticed. That is why nothing is fsynced.
type entry struct {
	key           []byte // spelling of the asset.Key
	mediaType     string
	size          int64 // of the body
	width, height int
	quality       int    // that was chosen, 0 when it was not
	epoch         int    // of the renderer; 0 for an original
	kept          string // where the body is; "": in the entry's own file
	secret        []byte // what the sums of a body that is elsewhere are made with
	sums          []byte // 8 bytes for each block
}

const (
	blockBytes    = 64 << 10
	sumBytes      = 8
	metaHeadBytes = 20
	footerBytes   = 32
	secretBytes   = highwayhash.Size
	entryMagic    = "amxcache"
	keptMagic     = "amx kept" // the body is in another file
	entryVersion  = 2
	oldVersion    = 1 // the same without the quality; still read
	oldHeadBytes  = 16
	// unitBytes is what file systems allocate by.
	unitBytes = 4096
)

var le = binary.LittleEndian

// newEntry describes o, without its sums.
func newEntry(o *asset.Object, epoch int) *entry {
	key, _ := o.Key.AppendText(nil)
	e := &entry{key: key, mediaType: o.MediaType, size: o.Size, width: o.Width, height: o.Height, quality: o.Quality, epoch: epoch}
	if o.MediaType == "" {
		e.kept = o.Kept
	}
	if e.kept != "" {
		e.secret = make([]byte, secretBytes)
		_, _ = rand.Read(e.secret) // never fails
	}
	return e
}

func (e *entry) blocks() int64 { return (e.size + blockBytes - 1) / blockBytes }
func (e *entry) metaBytes() int {
	return metaHeadBytes + len(e.key) + len(e.mediaType) + len(e.secret) + len(e.kept)
}

// ownBytes is how much of the body is in the entry's file: all, or nothing.
func (e *entry) ownBytes() int64 {
	if e.kept != "" {
		return 0
	}
	return e.size
}

// units returns what the file takes on disk, in units of unitBytes.
func (e *entry) units() int64 {
	return unitsOf(e.ownBytes() + int64(e.metaBytes()) + e.blocks()*sumBytes + footerBytes)
}

func unitsOf(fileBytes int64) int64 { return (fileBytes + unitBytes - 1) / unitBytes }

func (e *entry) sum(block []byte) uint64 {
	if e.kept != "" {
		return highwayhash.Sum64(block, e.secret)
	}
	return xxhash.Sum64(block)
}

// addSum adds the sum of the next block.
func (e *entry) addSum(block []byte) { e.sums = le.AppendUint64(e.sums, e.sum(block)) }

// verify checks the block with number i. The error is [asset.ErrCorrupt].
func (e *entry) verify(i int64, block []byte) error {
	if e.sum(block) != le.Uint64(e.sums[i*sumBytes:]) {
		return fmt.Errorf("%w: block %d does not match its checksum", asset.ErrCorrupt, i)
	}
	return nil
}

// trailer returns what follows the body.
func (e *entry) trailer() []byte {
	b := make([]byte, 0, e.metaBytes()+len(e.sums)+footerBytes)
	b = le.AppendUint32(b, uint32(e.width))
	b = le.AppendUint32(b, uint32(e.height))
	b = le.AppendUint32(b, uint32(e.epoch))
	b = le.AppendUint32(b, uint32(len(e.key)))
	b = le.AppendUint32(b, uint32(e.quality))
	b = append(b, e.key...)
	b = append(b, e.mediaType...)
	b = append(b, e.secret...)
	b = append(b, e.kept...)
	b = append(b, e.sums...)
	if e.kept == "" {
		b = append(b, entryMagic...)
	} else {
		b = append(b, keptMagic...)
	}
	b = le.AppendUint32(b, entryVersion)
	b = le.AppendUint32(b, uint32(e.metaBytes()))
	b = le.AppendUint64(b, uint64(e.size))
	return le.AppendUint64(b, xxhash.Sum64(b))
}

// A footer says what a file is that ends with it.
type footer struct {
	size    int64 // of the body
	kept    bool  // it is in another file
	old     bool  // of an earlier build
	trailer int64 // where in the file the trailer begins
}

// parseFooter reads the footer of a file of fileBytes. The error is [asset.ErrCorrupt].
func parseFooter(b []byte, fileBytes int64) (footer, error) {
	version := le.Uint32(b[8:])
	f := footer{size: int64(le.Uint64(b[16:])), kept: string(b[:8]) == keptMagic, old: version == oldVersion}
	if !f.kept && string(b[:8]) != entryMagic || !f.old && version != entryVersion {
		return footer{}, fmt.Errorf("%w: no footer", asset.ErrCorrupt)
	}
	e := entry{size: f.size}
	if f.size < 0 || f.size > 1<<62 {
		return footer{}, fmt.Errorf("%w: lengths do not add up", asset.ErrCorrupt)
	}
	f.trailer = fileBytes - int64(le.Uint32(b[12:])) - e.blocks()*sumBytes - footerBytes
	if f.trailer < 0 || f.kept && f.trailer != 0 || !f.kept && f.trailer != f.size {
		return footer{}, fmt.Errorf("%w: lengths do not add up", asset.ErrCorrupt)
	}
	return f, nil
}

// parseTrailer reads a trailer, of a file with that footer. The result shares memory with b. The error is
// [asset.ErrCorrupt].
func parseTrailer(b []byte, f footer) (*entry, error) {
	if xxhash.Sum64(b[:len(b)-sumBytes]) != le.Uint64(b[len(b)-sumBytes:]) {
		return nil, fmt.Errorf("%w: the trailer does not match its checksum", asset.ErrCorrupt)
	}
	e := &entry{size: f.size}
	sumsAt := int64(len(b)) - footerBytes - e.blocks()*sumBytes
	meta, head := b[:sumsAt], metaHeadBytes
	if f.old {
		head = oldHeadBytes
	}
	if len(meta) < head || int64(le.Uint32(meta[12:])) > sumsAt-int64(head) {
		return nil, fmt.Errorf("%w: the meta data does not add up", asset.ErrCorrupt)
	}
	e.width, e.height = int(le.Uint32(meta)), int(le.Uint32(meta[4:]))
	e.epoch = int(le.Uint32(meta[8:]))
	if !f.old {
		e.quality = int(le.Uint32(meta[16:]))
	}
	keyEnd := head + int(le.Uint32(meta[12:]))
	e.key = meta[head:keyEnd]
	switch rest := meta[keyEnd:]; {
	case !f.kept:
		e.mediaType = string(rest)
	case len(rest) <= secretBytes:
		return nil, fmt.Errorf("%w: the meta data does not add up", asset.ErrCorrupt)
	default:
		e.secret, e.kept = rest[:secretBytes], string(rest[secretBytes:])
	}
	e.sums = b[sumsAt : len(b)-footerBytes]
	return e, nil
}

// tailBytes is read at the end of a file in one go: the trailer of a body of up to 100 MiB.
const tailBytes = 16 << 10

// readTrailer reads the trailer of a file of fileBytes.
func readTrailer(r io.ReaderAt, fileBytes int64) (*entry, error) {
	tail := make([]byte, min(tailBytes, fileBytes))
	if err := readFull(r, tail, fileBytes-int64(len(tail))); err != nil {
		return nil, err
	}
	f, err := footerOf(tail, fileBytes)
	if err != nil {
		return nil, err
	}
	if n := fileBytes - f.trailer; n > int64(len(tail)) {
		tail = make([]byte, n)
		if err := readFull(r, tail, f.trailer); err != nil {
			return nil, err
		}
	}
	return parseTrailer(tail[int64(len(tail))-(fileBytes-f.trailer):], f)
}

// footerOf is parseFooter of the footer at the end of tail.
func footerOf(tail []byte, fileBytes int64) (footer, error) {
	if len(tail) < footerBytes {
		return footer{}, fmt.Errorf("%w: %d bytes", asset.ErrCorrupt, len(tail))
	}
	return parseFooter(tail[len(tail)-footerBytes:], fileBytes)
}

// verifyWhole checks every block of the body in r.
func (e *entry) verifyWhole(r io.ReaderAt) error {
	buf := blockBuffers.Get().(*[blockBytes]byte)
	defer blockBuffers.Put(buf)
	for i := range e.blocks() {
		if err := e.readBlock(r, i, e.block(buf, i)); err != nil {
			return err
		}
	}
	return nil
}

// block returns the part of buf that block i fills.
func (e *entry) block(buf *[blockBytes]byte, i int64) []byte {
	return buf[:min(blockBytes, e.size-i*blockBytes)]
}

// readBlock reads block i, verified, into block, which has its length.
func (e *entry) readBlock(r io.ReaderAt, i int64, block []byte) error {
	if err := readFull(r, block, i*blockBytes); err != nil {
		return err
	}
	return e.verify(i, block)
}

// readFull fills p; a file that ends before that was cut: [asset.ErrCorrupt].
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF:
		return fmt.Errorf("%w: the file ends at %d", asset.ErrCorrupt, off+int64(n))
	}
	return err
}
