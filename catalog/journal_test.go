package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// nth returns the message at seq with the mutations, as a journal has it.
func nth(seq uint64, epoch string, mutations ...Mutation) *message {
	return &message{
		header:       header{Epoch: epoch, CommitTS: time.Unix(int64(seq), 0).UTC()},
		Transactions: []transaction{{Mutations: mutations}}, hash: sha256.Sum256(fmt.Append(nil, seq)),
	}
}

// written returns the bytes of a journal behind revision 3 with so many messages of one upload each.
func written(t testing.TB, messages int) []byte {
	t.Helper()
	dir := t.TempDir()
	j, err := createJournal(dir, position{3, "", asset.Digest{3}})
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	for i := range messages {
		j.add(uint64(i)+4, nth(uint64(i)+4, "e", upload(i)...))
	}
	if err := errors.Join(j.flush(), j.place()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// reread opens a journal of those bytes and returns what it says, and how long it is then.
func reread(t testing.TB, data []byte) (j *journal, messages []*message, size int64) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, journalName)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	before := position{3, "", asset.Digest{3}}
	j, err := openJournal(dir, nil, func(at position, seq uint64, m *message) {
		if at != before || seq != at.revision+1 {
			t.Errorf("message %d comes behind %v, not %v", seq, at, before)
		}
		before = position{seq, m.Epoch, m.hash}
		messages = append(messages, m)
	})
	if err != nil {
		t.Fatal(err)
	}
	if j == nil {
		return nil, nil, 0
	}
	t.Cleanup(j.close)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return j, messages, info.Size()
}

func TestJournal(t *testing.T) {
	const n = 1000 // several batches
	data := written(t, n)
	j, messages, size := reread(t, data)
	if j.start != (position{3, "", asset.Digest{3}}) || j.last != (position{n + 3, "e", sha256.Sum256(fmt.Append(nil, n+3))}) || size != int64(len(data)) {
		t.Fatalf("%+v, %d bytes of %d", j, size, len(data))
	}
	for i, m := range messages {
		if want := nth(uint64(i)+4, "e", upload(i)...); !reflect.DeepEqual(m, want) {
			t.Fatalf("got %+v, want %+v", m, want)
		}
	}
	j.add(n+4, nth(n+4, "other"))
	if err := j.flush(); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(j.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if j, messages, _ := reread(t, again); j.last.epoch != "other" || len(messages) != n+1 {
		t.Fatal(j.last, len(messages))
	}
}

// A journal that is cut off anywhere says what stands whole in front of that, and can be gone on with.
func TestJournalCutAnywhere(t *testing.T) {
	data := written(t, 3)
	var ends []int
	for rest := data; len(rest) > 0; {
		_, rest, _ = cutFrame(rest)
		ends = append(ends, len(data)-len(rest))
	}
	for cut := range len(data) {
		whole := 0
		for _, end := range ends {
			if end <= cut {
				whole++
			}
		}
		j, messages, size := reread(t, data[:cut])
		if whole == 0 {
			if j != nil {
				t.Fatalf("cut at %d: a journal without a beginning was opened", cut)
			}
			continue
		}
		if len(messages) != whole-1 || size != int64(ends[whole-1]) {
			t.Fatalf("cut at %d: %d messages and %d bytes, want %d and %d", cut, len(messages), size, whole-1, ends[whole-1])
		}
		j.add(j.last.revision+1, nth(j.last.revision+1, "e"))
		if err := j.flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever bit is flipped, nothing is read that was not written.
func TestJournalFlippedAnywhere(t *testing.T) {
	data := written(t, 3)
	_, want, _ := reread(t, data)
	for i := 0; i < len(data)*8; i += 3 { // at least two of each byte
		flipped := bytes.Clone(data)
		flipped[i/8] ^= 1 << (i % 8)
		j, got, size := reread(t, flipped)
		if j == nil {
			continue
		}
		if len(got) >= len(want) || !reflect.DeepEqual(got, want[:len(got)]) && len(got) > 0 || size >= int64(len(data)) {
			t.Fatalf("bit %d: %d messages", i, len(got))
		}
		j.close()
	}
}

// What is whole and for newer programs is not cut off, however it is newer.
func TestJournalOfNewerPrograms(t *testing.T) {
	newer := appendFrame(written(t, 1), func(b []byte) []byte {
		b = append(binary.AppendUvarint(b, 5), 0)
		b = append(b, make([]byte, 32+1)...) // hash, time
		return append(b, 2, kindForgetOriginal+1, 0, 0)
	})
	for name, data := range map[string][]byte{
		"kind": newer, "start": appendFrame(nil, func(b []byte) []byte { return append(b, "assetmatrix journal 2\n"...) }),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, journalName)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openJournal(dir, nil, func(position, uint64, *message) {}); !errors.Is(err, errNewer) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Open(t.Context(), config(dir), Events{}); !errors.Is(err, errNewer) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, data) {
			t.Errorf("%s: the journal was changed", name)
		}
	}
}

// A hole ends a journal, however whole what stands behind it is.
func TestJournalWithAHole(t *testing.T) {
	j, err := createJournal(t.TempDir(), position{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	for _, seq := range []uint64{1, 2, 4, 5} {
		j.add(seq, nth(seq, "e"))
	}
	if err := j.flush(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(j.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, journalName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	if j, err := openJournal(dir, nil, func(position, uint64, *message) { n++ }); err != nil || j.last.revision != 2 || n != 2 {
		t.Fatal(j, err, n)
	}
}

// A journal that cannot be written ends with what is whole, and takes nothing behind that.
func TestJournalThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	j, err := createJournal(dir, position{})
	if err != nil {
		t.Fatal(err)
	}
	j.add(1, nth(1, "e"))
	if err := errors.Join(j.flush(), j.place()); err != nil {
		t.Fatal(err)
	}
	j.close()
	j.add(2, nth(2, "e"))
	if err := j.flush(); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	j.add(3, nth(3, "e"))
	if err := j.flush(); !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	n := 0
	if _, err := openJournal(dir, nil, func(position, uint64, *message) { n++ }); err != nil || n != 1 {
		t.Fatal(err, n)
	}
	if _, err := createJournal(filepath.Join(dir, "nowhere"), position{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// FuzzJournal: whatever bytes a journal has, reading it ends, and what it says can be written and read again.
func FuzzJournal(f *testing.F) {
	data := written(f, 2)
	f.Add(data)
	f.Add(data[:len(data)-5])
	f.Add([]byte{})
	r := newMaker(2)
	for range 20 {
		m := r.mutation()
		f.Add((&journal{}).appendMessage(nil, 1, nth(1, "e", m)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var j journal
		_ = j.read(data, nil, func(_ position, seq uint64, m *message) { same(t, seq, m) })
		if seq, m, err := decodeEntry(string(data)); err == nil {
			same(t, seq, m)
		}
	})
}

// same fails unless m comes back as it is.
func same(t *testing.T, seq uint64, m *message) {
	again, got, err := decodeEntry(string((&journal{}).appendMessage(nil, seq, m)))
	if err != nil || again != seq {
		t.Fatal(err)
	}
	if a, b := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", m); len(a) != len(b) { // pointers differ, and NaN is not itself
		t.Fatalf("got %s, want %s", a, b)
	}
	for i := range m.Transactions[0].Mutations {
		a, b := appendMutation(nil, &got.Transactions[0].Mutations[i]), appendMutation(nil, &m.Transactions[0].Mutations[i])
		if !bytes.Equal(a, b) {
			t.Fatalf("mutation %d: got %x, want %x", i, a, b)
		}
	}
}

// BenchmarkJournal reads 50,000 uploads into a view, as a restart does.
func BenchmarkJournal(b *testing.B) {
	const n = 50_000
	data := written(b, n)
	b.SetBytes(int64(len(data)))
	for _, apply := range []bool{false, true} {
		b.Run(fmt.Sprint("apply=", apply), func(b *testing.B) {
			for b.Loop() {
				var j journal
				v := newView(nil)
				if err := j.read(data, nil, func(_ position, seq uint64, m *message) {
					if apply {
						v.advance(seq, m)
					}
				}); err != nil || j.last.revision != n+3 {
					b.Fatal(err, j.last)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/journal")
		})
	}
}
