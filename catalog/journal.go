package catalog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A position is a place in a history.
type position struct {
	revision uint64
	epoch    string
	hash     asset.Digest // of the message at revision
}

func (v *View) position() position { return position{v.revision, v.epoch, v.hash} }

// A journal is the messages behind a base, as far as they were applied here, in a file beside it: what makes a restart
// need nobody. It is written after the view is shown and is not flushed. So kill -9 leaves out what was applied at the
// very last, and a power loss perhaps more; the log then fills that in.
//
// The file is frames: the length of the payload, the CRC-32C of length and payload (4 bytes each, little endian), the
// payload. The first one says which position the journal begins behind, each other one is a message: its sequence, its
// epoch when that is another one than before, its hash, when it was committed, and its mutations by the codec. It ends
// with the first frame that is not whole or not the next one.
//
// Its end is also what was applied here for certain. That is remembered because a JetStream server that was killed takes
// a damaged record for one that was cut off in writing: it drops the record and everything behind it, and says nothing.
// What is left is a log without a fault, only shorter.
type journal struct {
	file  *os.File
	start position
	last  position
	size  int64  // of the whole frames in the file, bytes
	rest  []byte // frames that are not in the file yet
	err   error  // why nothing can be added any more
}

const (
	journalName = "journal"
	// journalMagic begins the first payload; a layout that this program could not read would have another one.
	journalMagic = "assetmatrix journal 1\n"
	frameHead    = 8
	// maxFrameBytes is far beyond any message.
	maxFrameBytes = 16 * maxMessageBytes
	// maxRestBytes is how much is gathered while nobody waits for a view.
	maxRestBytes = 1 << 20
	// batchBytes is about how much is decoded at a time: more than handing it over costs, and little enough that applying
	// begins soon.
	batchBytes = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// createJournal makes an empty journal behind start under a name of its own, until it is moved to its place.
func createJournal(dir string, start position) (*journal, error) {
	f, err := os.CreateTemp(dir, journalName+"-*.tmp")
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, start: start, last: start}
	j.rest = appendFrame(nil, func(b []byte) []byte { return appendPosition(append(b, journalMagic...), start) })
	if err := j.flush(); err != nil {
		j.close()
		return nil, err
	}
	return j, nil
}

// place gives j the name by which it is found, in place of the one before.
func (j *journal) place() error {
	return os.Rename(j.file.Name(), filepath.Join(filepath.Dir(j.file.Name()), journalName))
}

func (j *journal) close() { _ = j.file.Close() }

// add adds the message at seq, which is not in the file before flush.
func (j *journal) add(seq uint64, m *message) {
	if j.err != nil {
		return
	}
	j.rest = appendFrame(j.rest, func(b []byte) []byte { return j.appendMessage(b, seq, m) })
	j.last = position{seq, m.Epoch, m.hash}
	if len(j.rest) >= maxRestBytes {
		_ = j.flush() // which is remembered
	}
}

// flush writes what was added. After a fault the file ends before it, and with it the journal.
func (j *journal) flush() error {
	if len(j.rest) == 0 || j.err != nil {
		return j.err
	}
	if _, err := j.file.WriteAt(j.rest, j.size); err != nil {
		_ = j.file.Truncate(j.size) // else a reader finds the torn frame, and ends there as well
		j.err = err
	}
	j.size += int64(len(j.rest))
	j.rest = j.rest[:0]
	if cap(j.rest) > maxRestBytes {
		j.rest = nil
	}
	return j.err
}

func (j *journal) appendMessage(b []byte, seq uint64, m *message) []byte {
	b = binary.AppendUvarint(b, seq)
	epoch := m.Epoch
	if epoch == j.last.epoch {
		epoch = ""
	}
	b = appendString(b, epoch)
	b = append(b, m.hash[:]...)
	b = appendTime(b, m.CommitTS)
	n := 0
	for _, t := range m.Transactions {
		n += len(t.Mutations)
	}
	b = appendCount(b, n, false)
	for _, t := range m.Transactions {
		for i := range t.Mutations {
			b = appendMutation(b, &t.Mutations[i])
		}
	}
	return b
}

func appendPosition(b []byte, p position) []byte {
	b = appendString(binary.AppendUvarint(b, p.revision), p.epoch)
	return append(b, p.hash[:]...)
}

// appendFrame appends the frame of the payload that fill appends.
func appendFrame(b []byte, fill func([]byte) []byte) []byte {
	at := len(b)
	b = fill(append(b, make([]byte, frameHead)...))
	frame := b[at:]
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint32(frame[4:], frameSum(frame))
	return b
}

func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[frameHead:])
}

// cutFrame returns the payload of the frame that data begins with, and what is behind it; false when it is not whole.
func cutFrame(data []byte) (payload, rest []byte, ok bool) {
	if len(data) < frameHead {
		return nil, nil, false
	}
	n := uint64(binary.LittleEndian.Uint32(data))
	if n > maxFrameBytes || n > uint64(len(data)-frameHead) {
		return nil, nil, false
	}
	frame := data[:frameHead+n]
	if frameSum(frame) != binary.LittleEndian.Uint32(data[4:]) {
		return nil, nil, false
	}
	return frame[frameHead:], data[len(frame):], true
}

// openJournal reads the journal in dir and calls take with each message and the position that it follows. The file is cut
// off behind the last good one. Without a journal, or with one that does not even say where it begins, it returns nil. A
// journal of a newer program fails: cutting that off would lose what it says.
func openJournal(dir string, ahead func(*message), take func(before position, seq uint64, m *message)) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	j := &journal{file: f}
	data, err := readAll(f) // which nobody changes: what is decoded keeps parts of it as its strings
	if err == nil {
		err = j.read(data, ahead, take)
	}
	if err == nil && j.size > 0 {
		err = f.Truncate(j.size)
	}
	if err != nil || j.size == 0 {
		j.close()
		return nil, err
	}
	return j, nil
}

// readAll is [io.ReadAll] for a file whose size is known.
func readAll(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

// read sets start, last and size. It decodes on all processors, ahead of take.
func (j *journal) read(data []byte, ahead func(*message), take func(before position, seq uint64, m *message)) error {
	payload, rest, ok := cutFrame(data)
	if !ok {
		return nil
	}
	start, err := decodeStart(string(payload))
	if errors.Is(err, asset.ErrCorrupt) {
		return nil
	}
	if err != nil {
		return err
	}
	j.start, j.last, j.size = start, start, int64(len(data)-len(rest))
	for e := range decodeAhead(frames(rest), ahead) {
		if errors.Is(e.err, errNewer) {
			return fmt.Errorf("%s, message %d: %w", j.file.Name(), j.last.revision+1, e.err)
		}
		if e.err != nil || e.seq != j.last.revision+1 {
			return nil
		}
		if e.message.Epoch == "" {
			e.message.Epoch = j.last.epoch
		}
		take(j.last, e.seq, e.message)
		j.last = position{e.seq, e.message.Epoch, e.message.hash}
		j.size += e.bytes
	}
	return nil
}

// frames returns the payloads of the frames that data begins with.
func frames(data []byte) (payloads [][]byte) {
	for {
		payload, rest, ok := cutFrame(data)
		if !ok {
			return payloads
		}
		payloads, data = append(payloads, payload), rest
	}
}

// An entry is a message as it was read from a journal.
type entry struct {
	seq     uint64
	message *message
	bytes   int64 // of its frame
	err     error
}

// decodeAhead returns the decoded payloads in their order, while others are being decoded. ahead, unless it is nil, is
// called with each message as soon as it is decoded, in any order.
func decodeAhead(payloads [][]byte, ahead func(*message)) func(yield func(entry) bool) {
	return func(yield func(entry) bool) {
		workers := runtime.GOMAXPROCS(0)
		batches := make(chan chan []entry, 2*workers)
		stop, slots := make(chan struct{}), make(chan struct{}, workers)
		defer close(stop)
		go func() {
			defer close(batches)
			for len(payloads) > 0 {
				var batch [][]byte
				batch, payloads = cutBatch(payloads)
				decoded := make(chan []entry, 1)
				select {
				case batches <- decoded:
				case <-stop:
					return
				}
				slots <- struct{}{}
				go func() {
					decoded <- decodeEntries(batch, ahead)
					<-slots
				}()
			}
		}()
		for decoded := range batches {
			for _, e := range <-decoded {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// cutBatch returns the first payloads, of batchBytes or a little more, and the rest.
func cutBatch(payloads [][]byte) (batch, rest [][]byte) {
	n, bytes := 0, 0
	for n < len(payloads) && bytes < batchBytes {
		bytes += len(payloads[n])
		n++
	}
	return payloads[:n], payloads[n:]
}

func decodeEntries(payloads [][]byte, ahead func(*message)) []entry {
	entries := make([]entry, len(payloads))
	for i, payload := range payloads {
		e := &entries[i]
		e.seq, e.message, e.err = decodeEntry(borrow(payload))
		e.bytes = int64(frameHead + len(payload))
		if e.err == nil && ahead != nil {
			ahead(e.message)
		}
	}
	return entries
}

// decodeEntry decodes what appendMessage has appended. The epoch is "" when it is the one before.
func decodeEntry(payload string) (seq uint64, m *message, err error) {
	d := &decoder{rest: payload}
	seq = d.uint()
	m = &message{header: header{Epoch: d.string()}, hash: d.digest()}
	m.CommitTS = d.time()
	n, _ := d.count(leastMutation)
	t := transaction{Mutations: make([]Mutation, n)}
	for i := range t.Mutations {
		t.Mutations[i] = d.mutation()
	}
	m.Transactions = []transaction{t}
	return seq, m, d.end()
}

func decodeStart(payload string) (p position, err error) {
	if len(payload) < len(journalMagic) || payload[:len(journalMagic)] != journalMagic {
		return p, fmt.Errorf("%s: %w", journalName, errNewer)
	}
	d := &decoder{rest: payload[len(journalMagic):]}
	p = position{d.uint(), d.string(), d.digest()}
	return p, d.end()
}

// discard closes a journal that is not going to be one, and removes it.
func (j *journal) discard() {
	j.close()
	_ = os.Remove(j.file.Name())
}
