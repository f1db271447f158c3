package bench

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/transform"
)

func TestThumbnail(t *testing.T) {
	if err := corpus.StartVips(); err != nil {
		t.Fatal(err)
	}
	original, err := corpus.JPEG(corpus.Landscape(1, 200, 150), 85)
	if err != nil {
		t.Fatal(err)
	}
	makes := func(w want, width, height int) {
		t.Helper()
		body, err := thumbnail(original, w)
		if err != nil {
			t.Error(err)
			return
		}
		head, err := transform.Header(bytes.NewReader(body), int64(len(body)))
		if err != nil || head.MediaType != w.format.MediaType() || head.Width != width || head.Height != height {
			t.Errorf("%v is %+v, %v", w, head, err)
		}
	}
	for _, format := range []asset.Format{asset.JPEG, asset.WebP, asset.AVIF} {
		makes(want{width: 100, format: format, quality: 80}, 100, 75)
		makes(want{width: 400, format: format, quality: 80}, 200, 150)
	}
	if _, err := thumbnail(original, want{width: 100, format: asset.PNG, quality: 80}); !errors.Is(err, errNotOffered) {
		t.Error(err)
	}
	if _, err := thumbnail([]byte("text"), want{width: 100, format: asset.JPEG, quality: 80}); err == nil {
		t.Error("text has a thumbnail")
	}
}

func TestSelfCPU(t *testing.T) {
	before := selfCPU()
	for start := time.Now(); selfCPU() == before; {
		if time.Since(start) > 10*time.Second {
			t.Fatal("work costs nothing")
		}
	}
}
