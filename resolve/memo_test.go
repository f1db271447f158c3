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
	const url = "/shop/w=401,wm=logo.png/photo.jpg"
	for range 3 {
		buffer := []byte(url)
		if target, err := Parse(unsafe.String(&buffer[0], len(buffer)), ""); err != nil || target.Options.Watermark.Name != "logo.png" {
			t.Fatal(target, err)
		}
		clear(buffer)
	}
	if target, err := Parse(url, ""); err != nil || target.Options.Watermark.Name != "logo.png" || target.Product != "shop" || target.Name != "photo.jpg" {
		t.Error(target, err)
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
