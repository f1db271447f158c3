package asset

import "testing"

func BenchmarkParseVariant(b *testing.B) {
	for _, text := range []string{"w=400", "w=400,h=300,fit=cover", "width=1200,ar=16:9,fit=cover,g=0.3x0.7,q=60,f=webp,bg=fff"} {
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseVariant(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKeyHash(b *testing.B) {
	v, _ := ParseVariant("w=400,h=300,fit=cover,f=webp")
	k := Key{Variant: v}
	b.ReportAllocs()
	for b.Loop() {
		_ = k.Hash()
	}
}

func BenchmarkCanonical(b *testing.B) {
	v, _ := ParseVariant("w=400,h=300,dpr=2,fit=cover,f=webp")
	pic := &Picture{Width: 4000, Height: 2000, Pages: 1}
	b.ReportAllocs()
	for b.Loop() {
		_ = v.Canonical(pic)
	}
}
