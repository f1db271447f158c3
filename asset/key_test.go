package asset

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestKeySpelling(t *testing.T) {
	zeros := strings.Repeat("0", 64)
	f := func(k Key, want string) {
		t.Helper()
		if got := k.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(Key{}, zeros+"/original")
	f(Key{Original: Digest{0xab, 31: 0xcd}}, "ab"+strings.Repeat("0", 60)+"cd/original")
	f(Key{Variant: Variant{Width: 400, Format: WebP}}, zeros+"/f=webp,w=400")
	f(Key{Variant: Variant{Width: 400, Format: WebP}, Generation: 7}, zeros+"/f=webp,w=400@7")
	f(Key{Variant: Variant{Format: WebP, Text: Text{Text: "a@b/c"}}, Generation: 1}, zeros+"/f=webp,text=a%40b%2Fc@1")
}

func TestOriginalKey(t *testing.T) {
	k := Key{Original: Digest{1}, Variant: Variant{Width: 3, Format: PNG}, Generation: 7}
	if k.IsOriginal() || !k.OriginalKey().IsOriginal() || k.OriginalKey().Original != k.Original || k.OriginalKey().Generation != 0 {
		t.Errorf("%+v", k.OriginalKey())
	}
}

func TestKeyHashTellsKeysApart(t *testing.T) {
	base := Key{Original: Digest{1}, Variant: Variant{Width: 400, Format: WebP}, Generation: 1}
	if same := base; same.Hash() != base.Hash() {
		t.Error("two hashes of one key")
	}
	others := []Key{base, base, base, base, {}}
	others[0].Original[31] = 1
	others[1].Variant.Width = 401
	others[2].Variant.Format = AVIF
	others[3].Generation = 2
	for _, k := range others {
		if k.Hash() == base.Hash() {
			t.Errorf("%s has the hash of %s", k, base)
		}
	}
}

func TestDigestText(t *testing.T) {
	d := Digest{0xde, 0xad, 31: 1}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var again Digest
	if err := json.Unmarshal(text, &again); err != nil || again != d || string(text) != `"`+d.String()+`"` {
		t.Errorf("%s: %v, %v", text, again, err)
	}
	if d.IsZero() || !(Digest{}).IsZero() {
		t.Error("IsZero")
	}
	for _, bad := range []string{"", "de", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("g", 64)} {
		if err := again.UnmarshalText([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
