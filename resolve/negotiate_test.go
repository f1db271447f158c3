package resolve

import (
	"strings"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestChoose(t *testing.T) {
	f := func(accept string, want asset.Format) {
		t.Helper()
		if got := choose(parseAccept(accept), asset.JPEG, true, true); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
	// Who takes anything has named nothing.
	f("", asset.JPEG)
	f(" \t ", asset.JPEG)
	f("*/*", asset.JPEG)
	f("image/*", asset.JPEG)
	f("image/*,*/*;q=0.8", asset.JPEG)
	// Browsers.
	f(chrome, asset.AVIF)
	f("image/avif,image/webp,*/*;q=0.8", asset.AVIF)
	f("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", asset.AVIF)
	f("image/webp,*/*", asset.WebP)
	f("image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", asset.AVIF)
	f("image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5", asset.JPEG)
	f("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", asset.JPEG)
	// The client's order counts first, ours where it has none.
	f("image/webp,image/avif", asset.AVIF)
	f("image/avif;q=0.5,image/webp;q=0.9", asset.WebP)
	f("image/avif;q=0.5,image/webp;q=0.6,*/*;q=0.7", asset.JPEG)
	f("image/jpeg,image/webp;q=0.999", asset.JPEG)
	f("image/jpeg;q=0.9,image/webp;q=0.9", asset.WebP)
	f("*/*;q=0.001", asset.JPEG)
	// q=0 excludes.
	f("image/avif;q=0,image/webp,*/*", asset.WebP)
	f("image/avif;q=0.0,image/webp;q=0.000,*/*", asset.JPEG)
	f("image/jpeg;q=0,*/*", asset.PNG)
	f("image/jpeg;q=0,image/png;q=0,*/*", asset.WebP)
	f("image/jpeg;q=0,image/png;q=0,image/webp;q=0,*/*", asset.JPEG) // nothing is left: the baseline, not 406
	f("image/*;q=0,*/*", asset.JPEG)
	f("image/jpeg;q=0", asset.PNG) // excluded by name, and nothing is said of the others
	f("image/*;q=0,image/png", asset.PNG)
	f("*/*;q=0,image/webp;q=0.1", asset.WebP)
	f("image/webp", asset.WebP)
	f("image/png", asset.PNG)
	f("image/heic", asset.JPEG)
	f("text/html", asset.JPEG)
	// Specific beats wide, wherever it stands.
	f("*/*,image/*;q=0.1,image/webp;q=0.2", asset.WebP)
	f("image/webp;q=0.2,image/*;q=0.9", asset.JPEG)
	f("*/*;q=0.9,image/*;q=0.1,image/webp;q=0.5", asset.WebP)
	f("image/webp;q=0.1,image/webp;q=0.9,image/avif;q=0.5", asset.AVIF) // the first of two
	// Case, whitespace, parameters.
	f("IMAGE/AVIF;Q=0.5 , Image/WebP", asset.WebP)
	f("image/avif ;\tq=0.5,image/webp\t;q=0.6", asset.WebP)
	f("image/webp;level=1", asset.WebP)
	f("image/webp;level=1;q=0.1,image/avif;q=0.2", asset.AVIF)
	f("image/webp;level=1;q=0,image/webp", asset.WebP)
	f(`image/webp;note="a,b;q=0\";";q=0.9,image/avif;q=0.8`, asset.WebP)
	f("image/webp;q=0.4;ext=1,image/avif;q=0.5", asset.AVIF)
	f("image/webp;;q=0.4,image/avif;q=0.5", asset.AVIF)
	f("image/webp;q=1.,image/jpeg;q=0.9", asset.WebP)
	// Malformed members are not there.
	for _, q := range []string{"1.001", "2", "-1", ".5", "0.1234", "x", "", "1e0", "0,5", "01", "0.5x", "NaN", `"1"`} {
		f("image/avif;q="+q+",image/webp;q=0.5", asset.WebP)
	}
	f(",,;,image,/,image/,/webp,image/webp/x,imagewebp,image/web,image /webp,*,*/webp, image/webp;q=0.1,", asset.WebP)
	f(`image/avif;x="unclosed,image/webp`, asset.AVIF)
	f("\x00\xff", asset.JPEG)
}

func TestChooseWithinWhatCanBeMade(t *testing.T) {
	f := func(accept string, base asset.Format, avif, webp bool, want asset.Format) {
		t.Helper()
		if got := choose(parseAccept(accept), base, avif, webp); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
	f("image/avif,image/webp", asset.JPEG, false, true, asset.WebP)
	f("image/avif,image/webp,*/*;q=0.1", asset.JPEG, false, false, asset.JPEG)
	f("image/avif", asset.JPEG, false, true, asset.JPEG)
	f("image/avif", asset.PNG, false, true, asset.PNG)
	f("", asset.PNG, true, true, asset.PNG)
	f("image/png;q=0,*/*", asset.PNG, true, true, asset.JPEG)
	f("image/png;q=0,image/jpeg;q=0,*/*", asset.PNG, true, false, asset.PNG)
	f("image/png;q=0.5,image/webp;q=0.4", asset.PNG, true, true, asset.PNG)
}

// A hostile header costs no more than its first kilobytes, and nothing of it is kept.
func TestHostileAccept(t *testing.T) {
	for _, unit := range []string{",", ";", "a/b,", "image/webp;q=0.1,", `"`, `\`, "image/avif;", `image/avif;a="`, "*/*;q=1;"} {
		header := strings.Repeat(unit, 1<<20/len(unit))
		began := time.Now()
		_ = choose(parseAccept(header), asset.JPEG, true, true)
		if d := time.Since(began); d > 50*time.Millisecond {
			t.Errorf("%q…: %v", unit, d)
		}
		if n := testing.AllocsPerRun(10, func() { _ = parseAccept(header) }); n != 0 {
			t.Errorf("%q…: %v allocations", unit, n)
		}
	}
}

// What the renderer cannot write is not chosen, whatever the client would like.
func TestNegotiateWhatCanBeWritten(t *testing.T) {
	x := newReader(t)
	for lacking, want := range map[string]string{"": "avif", "avif": "webp", "avif webp": "jpeg"} {
		x.r.cfg.Lacks = func(f asset.Format) bool { return strings.Contains(lacking, f.String()) }
		if got := x.must("/shop/w=400/photo.jpg", "image/avif,image/webp,*/*;q=0.8").Key.Variant.Format.String(); got != want {
			t.Errorf("without %q: %s, want %s", lacking, got, want)
		}
	}
}
