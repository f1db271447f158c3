package bench

import "testing"

func TestMemoryLatency(t *testing.T) {
	small, err := memoryLatency(16 << 10)
	if err != nil {
		t.Fatal(err)
	}
	large, err := memoryLatency(256 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if small <= 0 || large < 2*small {
		t.Errorf("a load takes %v among 16 KB and %v among 256 MB", small, large)
	}
}
