// Package chromium starts a headless Chromium for the tests that look at pages as a reader does. A machine without one fails
// those tests rather than leave them out: scripts/deps test installs it.
//
//	ctx := chromium.Start(t)
//	err := chromedp.Run(ctx, chromedp.Navigate(url), chromedp.Evaluate(script, &seen))
package chromium

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Start starts a browser that ends with the test, or after two minutes. The context is a tab of it.
func Start(t *testing.T) context.Context {
	t.Helper()
	program, err := find()
	if err != nil {
		t.Fatalf("no browser to look at the page with (%v): scripts/deps test installs one", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-dev-shm-usage", true)) // small in containers
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to start otherwise
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(func() { closeTab(); stop(); cancel() })
	return ctx
}

// find returns the first of those that scripts/deps is content with.
func find() (path string, err error) {
	for _, name := range []string{"chromium", "google-chrome"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", err
}

// Page leaves a picture of the whole page that is open in the test's artifacts, as NAME.png.
func Page(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	keep(t, ctx, name, func(png *[]byte) chromedp.Action { return chromedp.FullScreenshot(png, 100) })
}

// View leaves a picture of what of the page is in view in the test's artifacts, as NAME.png.
func View(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	keep(t, ctx, name, func(png *[]byte) chromedp.Action { return chromedp.CaptureScreenshot(png) })
}

func keep(t *testing.T, ctx context.Context, name string, take func(png *[]byte) chromedp.Action) {
	t.Helper()
	var png []byte
	if err := chromedp.Run(ctx, take(&png)); err != nil {
		t.Fatalf("the browser: %v", err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}
