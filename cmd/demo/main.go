// Command demo draws sample pictures and a file, puts them into a running server under the product "demo", shares one
// with the product "demo-app", and prints URLs to open. `make run` starts it beside the server.
//
// Its one invariant: it may run as often as one likes; what is there already is not stored again.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/control/client"
)

func main() {
	control := flag.String("control", "http://127.0.0.1:9090", "the server's management API")
	delivery := flag.String("delivery", "http://127.0.0.1:8080", "the server's front door")
	pid := flag.Int("server-pid", 0, "stop waiting for the server when this process has ended")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, *control, *delivery, *pid, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, control, delivery string, pid int, out io.Writer) error {
	c, err := client.New(control)
	if err != nil {
		return err
	}
	if err := ready(ctx, control, pid); err != nil {
		return err
	}
	if err := defineProducts(ctx, c); err != nil {
		return err
	}
	receipt, err := putSamples(ctx, c)
	if err != nil {
		return err
	}
	if _, err := c.PutLink(ctx, "demo-app", "hero.jpg", client.LinkSpec{Asset: receipt.ID}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, tour, delivery, control)
	return err
}

// ready waits until the server can do its work, and gives up when its process has ended.
func ready(ctx context.Context, control string, pid int) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, control+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if pid != 0 && syscall.Kill(pid, 0) != nil {
			return fmt.Errorf("the server has ended; its last lines say why")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server at %s is not ready: %w", control, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func defineProducts(ctx context.Context, c *client.Client) error {
	for name, spec := range map[string]client.ProductSpec{
		"demo":     {Presets: map[string]string{"thumb": "w=240,h=240,fit=cover", "banner": "w=1200,h=400,fit=cover"}},
		"demo-app": {Presets: map[string]string{"thumb": "w=120,h=120,fit=cover,dpr=2"}},
	} {
		if _, err := c.PutProduct(ctx, name, spec); err != nil {
			return err
		}
	}
	return nil
}

// A sample is something to put into the demo product.
type sample struct {
	name string
	draw func() ([]byte, error)
}

var samples = []sample{
	{"landscapes/dawn.jpg", landscape(4, 4000, 3000)}, // 12 megapixels, like a phone's
	{"landscapes/noon.jpg", landscape(1, 1800, 1200)},
	{"landscapes/dusk.jpg", landscape(2, 1800, 1200)},
	{"landscapes/mist.jpg", landscape(3, 1200, 1800)},
	{"logo.png", func() ([]byte, error) { return corpus.PNG(corpus.Badge(512)) }},
	{"files/brochure.pdf", func() ([]byte, error) { return corpus.Brochure(3) }},
}

func landscape(seed uint64, width, height int) func() ([]byte, error) {
	return func() ([]byte, error) { return corpus.JPEG(corpus.Landscape(seed, width, height), 88) }
}

// putSamples returns the receipt of the first.
func putSamples(ctx context.Context, c *client.Client) (client.Receipt, error) {
	var first client.Receipt
	for i, s := range samples {
		content, err := s.draw()
		if err != nil {
			return first, err
		}
		receipt, err := c.PutAsset(ctx, "demo", s.name, bytes.NewReader(content), int64(len(content)), client.PutOptions{})
		if err != nil {
			return first, fmt.Errorf("put demo/%s: %w", s.name, err)
		}
		if i == 0 {
			first = receipt
		}
	}
	return first, nil
}

const tour = `
assetmatrix is up. Open:

  %[1]s/demo/w=1200,h=600,fit=cover/landscapes/dawn.jpg   a 12-megapixel picture, cut to 1200 × 600, in the format your browser likes
  %[1]s/demo/thumb/landscapes/dusk.jpg                    by a preset of the product
  %[1]s/demo-app/thumb/hero.jpg                           the same asset in another product, under its own name and preset
  %[1]s/demo/w=600,h=400,fit=pad,bg=navy,f=jpeg/logo.png  transparency laid on a colour, and padded with it
  %[1]s/demo/w=1000,fit=contain,page=2/files/brochure.pdf a page of a PDF as a picture
  %[1]s/demo/original/files/brochure.pdf                  the file itself
  %[1]s/demo/info/landscapes/dawn.jpg                     what is known about it

Management API: %[2]s/openapi.json   Metrics: %[2]s/metrics   Stop with Ctrl-C.
`
