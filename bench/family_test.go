package bench

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

var tinyFamily = familySize{widths: []int{32, 64}, pixels: [2]int{200 * 150, 200 * 150}, rounds: 1}

func TestFamily(t *testing.T) {
	r := testRun(t)
	r.Corpus = smallPictures(t, 1)
	r.Peers = []Peer{{"imgproxy", imgproxy(t, func(w want) want { return w })}}
	if err := family(t.Context(), r, tinyFamily); err != nil {
		t.Fatal(err)
	}
	r.report.once(t)
	for _, name := range []string{"family_wall_ms", "family_wall_ms_libvips", "family_wall_ms_ratio_libvips", "family_wall_ms_imgproxy", "family_peak_rss_mb"} {
		if r.report.value(t, name) <= 0 {
			t.Errorf("%s is %v", name, r.report.value(t, name))
		}
	}
	if said := r.report.counted(t, "imgproxy"); said != "yes" {
		t.Error(said)
	}
	ended(t)
}

func TestFamilyOf(t *testing.T) {
	wants := familyOf("a.jpg", []int{320, 640})
	if len(wants) != 6 || wants[0] != (want{"a.jpg", 320, asset.AVIF, renderQuality}) || wants[5].format != asset.JPEG {
		t.Errorf("%v", wants)
	}
}

func TestFamilyOriginal(t *testing.T) {
	r := testRun(t)
	r.Corpus = smallPictures(t, 3)
	if f, err := r.familyOriginal(t.Context(), tinyFamily); err != nil || f.Width != 200 || f.Height != 150 {
		t.Errorf("%+v, %v", f.Name, err)
	}
	large := tinyFamily
	large.pixels = [2]int{1e6, 2e6}
	_, err := r.familyOriginal(t.Context(), large)
	asked(t, err, r.Corpus, "has no JPEG of 12 to 15 megapixels")
	r = testRun(t)
	r.Corpus = "/nowhere/at/all"
	_, err = r.familyOriginal(t.Context(), tinyFamily)
	asked(t, err, "--corpus: there is no directory /nowhere/at/all")
}
