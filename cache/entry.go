package cache

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An entry describes a file of the disk cache:
//
//	body     size bytes, from offset 0, so that the file can be sent as it is
//	meta     width, height, epoch, length of the key: uint32; the key's spelling; the media type
//	sums     the xxhash64 of each block of 64 KiB of the body
//	footer   magic; version, length of meta: uint32; size: uint64; xxhash64 of meta, sums and the footer so far
//
// Numbers are little endian. The lengths add up to that of the file exactly, and every byte is under a checksum: a file
// that was changed, cut or only half written by the time of a power cut is noticed. That is why nothing is fsynced.
type entry struct {
	key           []byte // spelling of the asset.Key
	mediaType     string
	size          int64 // of the body
	width, height int
	epoch         int    // of the renderer; 0 for an original
	sums          []byte // 8 bytes for each block
}

const (
	blockBytes    = 64 << 10
	sumBytes      = 8
	metaHeadBytes = 16
	footerBytes   = 32
	entryMagic    = "amxcache"
	entryVersion  = 1
	// unitBytes is what file systems allocate by.
	unitBytes = 4096
)

var le = binary.LittleEndian

// newEntry describes o, without its sums.
func newEntry(o *asset.Object, epoch int) *entry {
	key, _ := o.Key.AppendText(nil)
	return &entry{key: key, mediaType: o.MediaType, size: o.Size, width: o.Width, height: o.Height, epoch: epoch}
}

func (e *entry) blocks() int64  { return (e.size + blockBytes - 1) / blockBytes }
func (e *entry) metaBytes() int { return metaHeadBytes + len(e.key) + len(e.mediaType) }

// units returns what the file takes on disk, in units of unitBytes.
func (e *entry) units() int64 {
	return unitsOf(e.size + int64(e.metaBytes()) + e.blocks()*sumBytes + footerBytes)
}

func unitsOf(fileBytes int64) int64 { return (fileBytes + unitBytes - 1) / unitBytes }

// addSum adds the sum of the next block.
func (e *entry) addSum(block []byte) { e.sums = le.AppendUint64(e.sums, xxhash.Sum64(block)) }

// verify checks the block with number i. The error is [asset.ErrCorrupt].
func (e *entry) verify(i int64, block []byte) error {
	if xxhash.Sum64(block) != le.Uint64(e.sums[i*sumBytes:]) {
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
	b = append(b, e.key...)
	b = append(b, e.mediaType...)
	b = append(b, e.sums...)
	b = append(b, entryMagic...)
	b = le.AppendUint32(b, entryVersion)
	b = le.AppendUint32(b, uint32(e.metaBytes()))
	b = le.AppendUint64(b, uint64(e.size))
	return le.AppendUint64(b, xxhash.Sum64(b))
}

// bodySize reads from the footer of a file of fileBytes where the body ends. The error is [asset.ErrCorrupt].
func bodySize(footer []byte, fileBytes int64) (int64, error) {
	if string(footer[:8]) != entryMagic || le.Uint32(footer[8:]) != entryVersion {
		return 0, fmt.Errorf("%w: no footer", asset.ErrCorrupt)
	}
	e := entry{size: int64(le.Uint64(footer[16:]))}
	meta := int64(le.Uint32(footer[12:]))
	if e.size < 0 || e.size > fileBytes || e.size+meta+e.blocks()*sumBytes+footerBytes != fileBytes {
		return 0, fmt.Errorf("%w: lengths do not add up", asset.ErrCorrupt)
	}
	return e.size, nil
}

// parseTrailer reads what follows a body of size bytes. The result shares memory with b. The error is
// [asset.ErrCorrupt].
func parseTrailer(b []byte, size int64) (*entry, error) {
	if xxhash.Sum64(b[:len(b)-sumBytes]) != le.Uint64(b[len(b)-sumBytes:]) {
		return nil, fmt.Errorf("%w: the trailer does not match its checksum", asset.ErrCorrupt)
	}
	e := &entry{size: size}
	sumsAt := int64(len(b)) - footerBytes - e.blocks()*sumBytes
	meta := b[:sumsAt]
	if len(meta) < metaHeadBytes || int64(le.Uint32(meta[12:])) > sumsAt-metaHeadBytes {
		return nil, fmt.Errorf("%w: the meta data does not add up", asset.ErrCorrupt)
	}
	e.width, e.height = int(le.Uint32(meta)), int(le.Uint32(meta[4:]))
	e.epoch = int(le.Uint32(meta[8:]))
	keyEnd := metaHeadBytes + int(le.Uint32(meta[12:]))
	e.key, e.mediaType = meta[metaHeadBytes:keyEnd], string(meta[keyEnd:])
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
	size, err := footerOf(tail, fileBytes)
	if err != nil {
		return nil, err
	}
	if n := fileBytes - size; n > int64(len(tail)) {
		tail = make([]byte, n)
		if err := readFull(r, tail, size); err != nil {
			return nil, err
		}
	}
	return parseTrailer(tail[int64(len(tail))-(fileBytes-size):], size)
}

// footerOf is bodySize of the footer at the end of tail.
func footerOf(tail []byte, fileBytes int64) (int64, error) {
	if len(tail) < footerBytes {
		return 0, fmt.Errorf("%w: %d bytes", asset.ErrCorrupt, len(tail))
	}
	return bodySize(tail[len(tail)-footerBytes:], fileBytes)
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
