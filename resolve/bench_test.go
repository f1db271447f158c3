package resolve

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

const (
	benchPath   = "/shop/w=400,h=300,fit=cover/photo.jpg"
	benchAccept = chrome
)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(benchPath, ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	r := newResolver(b, newSnapshot())
	for _, path := range []string{benchPath, "/shop/thumb/photo.jpg", "/shop/original/photo.jpg"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				t, _ := Parse(path, "")
				if _, err := r.Resolve(t, Client{Accept: benchAccept}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNegotiate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = choose(parseAccept(benchAccept), asset.JPEG, true, true)
	}
}

func BenchmarkETag(b *testing.B) {
	t, _ := Parse(benchPath, "")
	found, err := newResolver(b, newSnapshot()).Resolve(t, Client{Accept: benchAccept})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = found.ETag()
	}
}
