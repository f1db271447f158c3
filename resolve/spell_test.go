package resolve

import (
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestSpell(t *testing.T) {
	product := &asset.Product{Name: "shop", Presets: map[string]string{"thumb": "h=300,width=400,fit=cover,q=60"}}
	res := &Resolution{Product: product, Entry: asset.Entry{Number: 7}}
	for options, want := range map[string][2]string{
		"original":             {"original", "original,v=7"},
		"original,v=2":         {"original", "original,v=7"},
		"info":                 {"info", "info,v=7"},
		"height=3,width=1":     {"h=3,w=1", "v=7,h=3,w=1"},
		"v=2":                  {"f=auto", "v=7,f=auto"},
		"width=1,v=2":          {"w=1", "v=7,w=1"},
		"thumb":                {"thumb", "v=7,fit=cover,h=300,q=60,w=400"},
		"thumb,v=3":            {"thumb", "v=7,fit=cover,h=300,q=60,w=400"},
		"thumb,width=5":        {"thumb,width=5", "v=7,fit=cover,h=300,q=60,w=5"},
		"thumb,v=3,width=5":    {"thumb,width=5", "v=7,fit=cover,h=300,q=60,w=5"},
		"thumb;blur=8":         {"thumb;blur=8", "v=7,fit=cover,h=300,q=60,w=400;blur=8"},
		"thumb,w=5;blur=8;w=9": {"thumb,w=5;blur=8;w=9", "v=7,fit=cover,h=300,q=60,w=5;blur=8;w=9"},
	} {
		target, err := Parse("/shop/"+options+"/a", "")
		if err != nil {
			t.Fatal(options, err)
		}
		pinned, err := target.SpellPinned(res)
		if target.Spell() != want[0] || pinned != want[1] || err != nil {
			t.Errorf("%s: %s, %s, %v", options, target.Spell(), pinned, err)
		}
		if target.Mode == ModeDeliver {
			again, err := Parse("/shop/"+pinned+"/a", "")
			v, _ := target.options(product)
			if again.Version != 7 || again.Options != v || err != nil {
				t.Errorf("%s: %s means something else", options, pinned)
			}
		}
	}
	missing, err := Parse("/shop/banner/a", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := missing.SpellPinned(res); err == nil {
		t.Error("a preset that is not there has a spelling")
	}
}
