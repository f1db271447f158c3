//go:build !race

package resolve

import "testing"

// Under -race a sync.Pool forgets on purpose.
func TestHotPathAllocations(t *testing.T) {
	r := newResolver(t, newSnapshot())
	headers := HintHeaders{SecDPR: []byte("2"), SecWidth: []byte("800"), SaveData: []byte("on")}
	f := func(path string, want float64) {
		t.Helper()
		n := testing.AllocsPerRun(1000, func() {
			target, err := Parse(path, "")
			if err == nil {
				_, err = r.Resolve(target, Client{Accept: chrome, Hints: headers.Hints()})
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if n > want {
			t.Errorf("%s: %v allocations, want %v", path, n, want)
		}
	}
	f("/shop/w=400,h=300,fit=cover/photo.jpg", 0)
	f("/shop/thumb,q=60/photo.jpg", 0)
	f("/shop/original/photo.jpg", 0)
	f("/keen/w=400,h=300,fit=cover/photo.jpg", 0)
	f("/keen/thumb/photo.jpg", 0)
	f("/keen/f=auto/photo.jpg", 0)
	f("/shop/w=400,v=2,q=80/photo.jpg", 1)                 // the options without the version
	f("/shop/w=400/banners/%C3%BCnder%20%C3%BCber.jpg", 1) // the decoded name
	f("/shop/original,v=2/photo.jpg", 0)                   // the version is cut off an end
}
