package catalog

import (
	"bufio"
	"os"

	"golang.org/x/sys/unix"
)

// A spill is a file without a name, for what is too much for the heap: written once from front to back, then mapped.
type spill struct {
	file   *os.File
	out    *bufio.Writer
	size   uint64
	mapped []byte
}

func newSpill(dir string) (*spill, error) {
	file, err := os.CreateTemp(dir, "spill-*.tmp")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(file.Name()) // it is there for as long as it is open
	return &spill{file: file, out: bufio.NewWriterSize(file, writeBytes)}, nil
}

func (s *spill) write(b []byte) error {
	n, err := s.out.Write(b)
	s.size += uint64(n)
	return err
}

// mapAll returns what was written, for reading and writing. Where that fails, as on a full disk, it is a fault.
func (s *spill) mapAll() (_ []byte, err error) {
	if err := s.out.Flush(); err != nil || s.size == 0 {
		return nil, err
	}
	s.mapped, err = unix.Mmap(int(s.file.Fd()), 0, int(s.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return s.mapped, err
}

// grow makes the spill, of which nothing was written, so many bytes long, and maps it.
func (s *spill) grow(size uint64) error {
	s.size = size
	if err := s.file.Truncate(int64(size)); err != nil {
		return err
	}
	_, err := s.mapAll()
	return err
}

// close ends the file; s may be nil.
func (s *spill) close() {
	if s == nil {
		return
	}
	if s.mapped != nil {
		_ = unix.Munmap(s.mapped)
	}
	_ = s.file.Close()
}
