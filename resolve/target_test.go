package resolve

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

// transcript spells a target on one line.
func (t Target) transcript() string {
	options := t.Options.String()
	switch t.Mode {
	case ModeOriginal, ModeInfo:
		options = [...]string{ModeOriginal: "original", ModeInfo: "info"}[t.Mode]
	case ModeDeliver:
		if t.Preset != "" {
			options = t.Preset + " over " + t.overrides
		}
	}
	text := fmt.Sprintf("%s | %s | %s", t.Product, options, t.Name)
	if t.Version != 0 {
		text += fmt.Sprintf(" | v%d", t.Version)
	}
	if t.Download != "" {
		text += fmt.Sprintf(" | as %s", t.Download)
	}
	if t.MinRevision != 0 {
		text += fmt.Sprintf(" | from %d", t.MinRevision)
	}
	return text
}

func TestParse(t *testing.T) {
	f := func(target, want string) {
		t.Helper()
		path, query, _ := strings.Cut(target, "?")
		got, err := Parse(path, query)
		if err != nil {
			t.Errorf("%s: %v", target, err)
		} else if got.transcript() != want {
			t.Errorf("%s: %s, want %s", target, got.transcript(), want)
		}
	}
	f("/shop/w=400,h=300/banners/hero.jpg", "shop | h=300,w=400 | banners/hero.jpg")
	f("/shop/original/a", "shop | original | a")
	f("/shop/original,v=2/a", "shop | original | a | v2")
	f("/shop/v=2,original/a", "shop | original | a | v2")
	f("/shop/info/a", "shop | info | a")
	f("/shop/info,version=12/a", "shop | info | a | v12")
	f("/shop/thumb/a", "shop | thumb over  | a")
	f("/shop/thumb-2x,q=60/a", "shop | thumb-2x over q=60 | a")
	f("/shop/thumb,v=3,q=60/a", "shop | thumb over q=60 | a | v3")
	f("/shop/thumb,q=60,v=3/a", "shop | thumb over q=60 | a | v3")
	f("/shop/thumb;blur=8/a", "shop | thumb over ;blur=8 | a")
	f("/shop/thumb,q=60;blur=8/a", "shop | thumb over q=60;blur=8 | a")
	f("/shop/v=2/a", "shop | f=auto | a | v2")
	f("/shop/v=2,w=3/a", "shop | w=3 | a | v2")
	f("/shop/w=3,version=2,h=4/a", "shop | h=4,w=3 | a | v2")
	f("/shop/w=3,v=2;blur=8/a", "shop | w=3;blur=8 | a | v2")
	f("/shop/v=2;blur=8/a", "shop | f=auto;blur=8 | a | v2")
	f("/0/f=webp/a", "0 | f=webp | a")
	f("/shop/text=a%2Cb%2Fc/a", "shop | text=a%2Cb%2Fc | a")
	f("/shop/text=100%2525/a", "shop | text=100%2525 | a") // a value may say %25; a name may not
	// Names.
	f("/shop/original/%C3%BCber%20%e2%82%ac", "shop | original | über €")
	f("/shop/original/über", "shop | original | über")
	f("/shop/original/a%2Cb;c=d@e+f", "shop | original | a,b;c=d@e+f")
	f("/shop/original/100%25", "shop | original | 100%")
	f("/shop/original/100%25/50%25zz", "shop | original | 100%/50%zz")
	f("/shop/original/.../.a/b.", "shop | original | .../.a/b.")
	f("/shop/original/"+strings.Repeat("x", 512), "shop | original | "+strings.Repeat("x", 512))
	f("/shop/original/"+strings.Repeat("%C3%BC", 256), "shop | original | "+strings.Repeat("ü", 256))
	// Queries.
	f("/shop/original/a?", "shop | original | a")
	f("/shop/original/a?utm=1&&=&w=3&%zz&DL=x", "shop | original | a")
	f("/shop/original/a?dl=na%C3%AFve%22.jpg", `shop | original | a | as naïve".jpg`)
	f("/shop/original/a?dl=a+b", "shop | original | a | as a b")
	f("/shop/original/a?min_revision=18446744073709551615", "shop | original | a | from 18446744073709551615")
	f("/shop/original/a?exp=1767225600&kid=k1&sig="+strings.Repeat("A", 43)+"&dl=b&min_revision=3", "shop | original | a | as b | from 3")
}

// wantFault reads an error that must be a Fault of that kind about part, saying all of words.
func wantFault(t *testing.T, what string, err, kind error, part string, words ...string) {
	t.Helper()
	var f *asset.Fault
	switch {
	case !errors.As(err, &f) || !errors.Is(err, kind):
		t.Errorf("%s: %v, want a fault of kind %v", what, err, kind)
	case f.Part != part:
		t.Errorf("%s: part %q, want %q (%v)", what, f.Part, part, f)
	}
	for _, w := range words {
		if err != nil && !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
}

func TestParseFaults(t *testing.T) {
	f := func(target, part string, words ...string) {
		t.Helper()
		path, query, _ := strings.Cut(target, "?")
		got, err := Parse(path, query)
		wantFault(t, target, err, asset.ErrInvalid, part, words...)
		if f, ok := errors.AsType[*asset.Fault](err); ok && f.Allowed == "" {
			t.Errorf("%s: says not what is allowed", target)
		}
		if got != (Target{}) {
			t.Errorf("%s: a target beside the fault", target)
		}
	}
	f("", "path", "/{product}/{options}/{name}")
	f("shop/original/a", "path")
	f("*", "path")
	// Products.
	f("/", "product")
	f("//original/a", "product")
	f("/Shop/original/a", "product", "a-z")
	f("/-shop/original/a", "product")
	f("/sh%6fp/original/a", "product")
	f("/favicon.ico", "product")
	f("/"+strings.Repeat("x", 64)+"/original/a", "product")
	f("/"+strings.Repeat("X", 6000)+"/original/a", "product")
	f("/shop", "options", "/{product}/{options}/{name}")
	f("/shop/", "options")
	f("/shop//a", "options")
	// Options.
	f("/shop/original", "name")
	f("/shop/w=0/a", "width", "1–8192")
	f("/shop/w=1,width=2/a", "width", "twice")
	f("/shop/w/a", "width", "no value")
	f("/shop/widht=3/a", "widht", "nearest is width")
	f("/shop/Thumb/a", "Thumb", "no option")
	f("/shop/th_umb/a", "th_umb")
	f("/shop/original,w=3/a", "options", "original,v=1")
	f("/shop/original;blur=3/a", "options")
	f("/shop/original,/a", "options")
	f("/shop/info,thumb/a", "options", "info")
	f("/shop/w=3,thumb/a", "thumb")
	f("/shop/thumb,/a", "options", "empty")
	f("/shop/thumb,;blur=3/a", "options", "empty")
	f("/shop/thumb,w=0/a", "width")
	f("/shop/thumb;/a", "options")
	f("/shop/;blur=3/a", "options")
	f("/shop/%6Friginal/a", "%6Friginal")
	f("/shop/v=0/a", "version", "1 and up")
	f("/shop/v=-1/a", "version")
	f("/shop/v=+1/a", "version")
	f("/shop/v=01/a", "version")
	f("/shop/v=x,original/a", "version")
	f("/shop/v=/a", "version")
	f("/shop/v=99999999999999999999/a", "version")
	f("/shop/v=1,version=1/a", "version", "twice")
	f("/shop/original,v=1,v=x/a", "version")
	f("/shop/v=2,/a", "options", "empty")
	f("/shop/v=2,;w=3/a", "options", "empty")
	f("/shop/w=3;v=2/a", "version", "first group")
	f("/shop/v/a", "version", "no value")
	f("/shop/text=%FF/a", "text")
	f("/shop/text=%/a", "text", "malformed")
	// Names.
	for _, name := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "%2e", "%2E%2e/b", "a/.%2e", "a/%2e%2E/b"} {
		f("/shop/original/"+name, "name")
	}
	f("/shop/original/a%2fb", "name", "encoded slash")
	f("/shop/original/a%2Fb", "name", "encoded slash")
	f("/shop/original/a%5cb", "name", "backslash")
	f("/shop/original/100%25/a%5C", "name", "backslash")
	f(`/shop/original/a\b`, "name", "backslash")
	f("/shop/original/a%00", "name", "control")
	f("/shop/original/a%0D%0Ab", "name", "control")
	f("/shop/original/a%7f", "name", "control")
	f("/shop/original/a%C2%85", "name", "control")
	f("/shop/original/a\tb", "name", "control")
	f("/shop/original/a%252fb", "name", "twice")
	f("/shop/original/a%2541", "name", "twice")
	f("/shop/original/a%25%34%31", "name", "twice")
	f("/shop/original/a%", "name", "malformed")
	f("/shop/original/a%2", "name", "malformed")
	f("/shop/original/a%zz", "name", "malformed")
	f("/shop/original/a%FF", "name", "UTF-8")
	f("/shop/original/\xc3", "name", "UTF-8")
	f("/shop/original/%C0%AF", "name", "UTF-8")
	f("/shop/original/"+strings.Repeat("x", 513), "name", "too long")
	f("/shop/original/"+strings.Repeat("%C3%BC", 257), "name", "too long")
	// Queries.
	for _, q := range []string{"exp=", "exp", "exp=x", "exp=-1", "exp=1e3", "exp=99999999999999999999"} {
		f("/shop/original/a?"+q, "exp", "seconds")
	}
	for _, q := range []string{"kid=", "kid=a%20b", "kid=é", "kid=" + strings.Repeat("k", 65)} {
		f("/shop/original/a?"+q, "kid")
	}
	for _, q := range []string{"sig=", "sig=abc", "sig=" + strings.Repeat("A", 42) + "=", "sig=" + strings.Repeat("+", 43), "sig=" + strings.Repeat("A", 44)} {
		f("/shop/original/a?"+q, "sig", "HMAC-SHA256")
	}
	for _, q := range []string{"dl=", "dl", "dl=%00", "dl=a%0d%0ab", "dl=%FF", "dl=%zz", "dl=" + strings.Repeat("x", 256)} {
		f("/shop/original/a?x=1&"+q, "dl", "file name")
	}
	for _, q := range []string{"min_revision=", "min_revision=-1", "min_revision=1.5", "min_revision=18446744073709551616"} {
		f("/shop/original/a?"+q, "min_revision", "decimal")
	}
	f("/shop/original/a?dl=a&dl=b", "dl", "twice")
}

// Whatever is parsed keeps the promises about names, and its canonical spelling means the same.
func FuzzParse(f *testing.F) {
	for _, target := range []string{
		"/shop/w=400,h=300/banners/hero.jpg", "/shop/thumb,q=60;blur=8,v=2/a?dl=x&min_revision=3", "/shop/v=2,original/%C3%BC",
		"/shop/info/a%25b", "/shop/text=%252f/a", "/a/f=auto/%2e%2e", "/a/v=1,v=1/%252f", "/a/;/b", "/a/v=2,,/b",
	} {
		path, query, _ := strings.Cut(target, "?")
		f.Add(path, query)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		target, err := Parse(path, query)
		if err != nil {
			var fault *asset.Fault
			if !errors.As(err, &fault) || !errors.Is(err, asset.ErrInvalid) || len(fault.Error()) > 4000 {
				t.Fatalf("%q: %v", path, err)
			}
			return
		}
		if err := asset.CheckName(target.Name); err != nil || !asset.ValidProductName(target.Product) {
			t.Fatalf("%q: %+v (%v)", path, target, err)
		}
		again, err := Parse(target.spelling(), query)
		if err != nil || again != target {
			t.Fatalf("%q is spelled %q, which is %+v (%v), not %+v", path, target.spelling(), again, err, target)
		}
	})
}

// spelling is a path that means t.
func (t Target) spelling() string {
	options := t.Options.String()
	switch {
	case t.Mode == ModeOriginal:
		options = "original"
	case t.Mode == ModeInfo:
		options = "info"
	case t.Preset != "" && t.overrides != "" && t.overrides[0] != ';':
		options = t.Preset + "," + t.overrides
	case t.Preset != "":
		options = t.Preset + t.overrides
	}
	if t.Version != 0 {
		options = fmt.Sprintf("v=%d,%s", t.Version, options)
	}
	segments := strings.Split(t.Name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return "/" + t.Product + "/" + options + "/" + strings.Join(segments, "/")
}
