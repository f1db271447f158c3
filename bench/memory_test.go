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
	if small.median() <= 0 || large.median() < 2*small.median() || len(large) != minRounds {
		t.Errorf("a load takes %v ns among 16 KB and %v among 256 MB", small, large)
	}
}
