package resolve

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func TestMemo(t *testing.T) {
	var m memo[int]
	reads := 0
	length := func(text string) (*int, error) {
		reads++
		n := len(text)
		if strings.HasPrefix(text, "bad") {
			return nil, errors.New(text)
		}
		return &n, nil
	}
	get := func(text string, want int) {
		t.Helper()
		before := reads
		n, err := m.get(text, length)
		if bad := strings.HasPrefix(text, "bad"); bad != (err != nil) || !bad && *n != len(text) {
			t.Fatal(text, n, err)
		}
		if reads-before != want {
			t.Errorf("%q was read %d times, want %d", text, reads-before, want)
		}
	}
	long := strings.Repeat("x", maxMemoBytes+1)
	get("once", 1)
	get("once", 1)
	get("once", 0)
	get(long, 1)
	get(long, 1)
	get(long, 1)
	get("bad", 1)
	get("bad", 1)
	get("bad", 1)
}

// What is remembered is a copy: a server's buffers hold the next request when this one is answered.
func TestMemoOwnsItsText(t *testing.T) {
	var m memo[string]
	buffer := []byte("w=401,wm=logo.png")
	text := unsafe.String(&buffer[0], len(buffer))
	keep := func(text string) (*string, error) { return &text, nil }
	for range 2 {
		if _, err := m.get(text, keep); err != nil {
			t.Fatal(err)
		}
	}
	clear(buffer)
	got, err := m.get("w=401,wm=logo.png", func(string) (*string, error) { return nil, errors.New("it is not remembered") })
	if err != nil || *got != "w=401,wm=logo.png" {
		t.Error(got, err)
	}
}

// Requests on all cores read and replace what is remembered.
func TestMemoConcurrently(t *testing.T) {
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for i := range 20_000 {
				width := "w=" + strings.Repeat("1", 1+i%3) + ",h=" + strings.Repeat("2", 1+i/3%3)
				target, err := Parse("/shop/"+width+"/photo.jpg", "")
				if err != nil || target.Options.Width != []int{1, 11, 111}[i%3] || target.Options.Height != []int{2, 22, 222}[i/3%3] {
					t.Error(width, target.Options, err)
					return
				}
			}
		})
	}
	running.Wait()
}
