package main

import (
	"context"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/assetmatrix/assetmatrix"
	"github.com/assetmatrix/assetmatrix/transform"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == assetmatrix.WorkerCommand {
		if transform.Work(os.NewFile(3, "render-socket")) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serve runs a server until the test ends and returns its two base URLs.
func serve(t *testing.T) (control, delivery string) {
	t.Helper()
	cfg := assetmatrix.DefaultConfig()
	cfg.DataDir, cfg.Delivery.Listen, cfg.Control.Listen = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	ctx, stop := context.WithCancel(t.Context())
	system, err := assetmatrix.New(ctx, cfg, "test", t.Output())
	if err != nil {
		stop()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- system.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + system.ControlAddr().String(), "http://" + system.DeliveryAddr().String()
}

var link = regexp.MustCompile(`http://\S+`)

// TestTour: every URL that is printed answers, and loading the demo again stores nothing again.
func TestTour(t *testing.T) {
	control, delivery := serve(t)
	var first, second strings.Builder
	for _, out := range []*strings.Builder{&first, &second} {
		if err := run(t.Context(), control, delivery, 0, out); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Error("the second tour differs")
	}
	urls := link.FindAllString(first.String(), -1)
	if len(urls) != 9 {
		t.Errorf("%d URLs: %v", len(urls), urls)
	}
	for _, url := range urls {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
}

func TestServerThatEnded(t *testing.T) {
	const nobody = 1 << 30 // above the largest pid
	if err := run(t.Context(), "http://127.0.0.1:1", "", nobody, t.Output()); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("%v", err)
	}
}
