package transform
import ("testing";"fmt";"os";"time")
func (b *bench) dump(t testing.TB) { if t.Failed() { time.Sleep(100*time.Millisecond); b.log.mu.Lock(); defer b.log.mu.Unlock(); for _, l := range b.log.library { if l!="" {fmt.Fprintln(os.Stderr, "LIB:", l)} }; fmt.Fprintln(os.Stderr, "LOST:", b.log.lost) } }
