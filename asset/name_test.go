package asset

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "hero.jpg", "banners/hero.jpg", "ünder über.jpg", "...", ".a/b.", "100%", "50% off", "%4", "%zz", "a%", strings.Repeat("x", 512)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	f := func(name, flaw string) {
		t.Helper()
		wantFault(t, name, CheckName(name), "name", flaw, "512 bytes")
	}
	f("", "empty")
	f(strings.Repeat("x", 513), "too long")
	f("\xff", "UTF-8")
	f("a\x00b", "control")
	f("a\u0085b", "control")
	f("a\ufffd", "no Unicode")
	f(`a\b`, "backslash")
	f("/a", "segment")
	f("a/", "segment")
	f("a//b", "segment")
	f("./a", "segment")
	f("a/..", "segment")
	f("a%2fb", "encoded twice")
	f("%zz%41", "encoded twice")
}

func TestValidProductName(t *testing.T) {
	for _, name := range []string{"a", "0", "shop-2", strings.Repeat("x", 63)} {
		if !ValidProductName(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"", "-a", "Shop", "a_b", "a.b", "ü", strings.Repeat("x", 64)} {
		if ValidProductName(name) {
			t.Errorf("%q is taken", name)
		}
	}
}
