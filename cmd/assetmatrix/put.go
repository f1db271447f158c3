package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

func putCommand() *cobra.Command {
	var r remote
	var o client.PutOptions
	var pending bool
	cmd := &cobra.Command{
		Use:   "put PRODUCT/NAME FILE",
		Short: "Upload a file: the first upload makes the asset, the next a version",
		Example: "  assetmatrix put shop/banners/hero.jpg ~/pictures/hero.jpg\n" +
			"  assetmatrix put shop/banners/hero.jpg hero.jpg --if-version 3 --wait edges\n" +
			"  generate | assetmatrix put shop/feeds/prices.csv - --type text/csv",
		Args:              takes(2, 2),
		ValidArgsFunction: completeTargets(&r, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			product, name, err := splitTarget(args[0])
			if err != nil {
				return err
			}
			if o.IfVersion != 0 && o.CreateOnly {
				return errNewWithVersion
			}
			if pending {
				o.Status = asset.Pending
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Receipt, error) {
				return upload(ctx, cmd, c, product, name, args[1], o)
			}, showReceipt)
		},
	}
	r.writeFlags(cmd)
	ifVersionFlag(cmd, &o.IfVersion)
	cmd.Flags().StringVar(&o.MediaType, "type", "", "declare the media type; without it the server looks")
	cmd.Flags().BoolVar(&o.CreateOnly, "create-only", false, "only when the name is free")
	cmd.Flags().BoolVar(&pending, "pending", false, "make an asset that is not delivered before assetmatrix publish")
	return cmd
}

func upload(ctx context.Context, cmd *cobra.Command, c *client.Client, product, name, path string, o client.PutOptions) (client.Receipt, error) {
	body, size, err := open(path, cmd.InOrStdin())
	if err != nil {
		return client.Receipt{}, err
	}
	defer func() { _ = body.Close() }()
	bar := newProgress("uploading", size, cmd.ErrOrStderr())
	defer bar.end()
	return c.PutAsset(ctx, product, name, io.TeeReader(body, bar), size, o)
}

// open returns the file, or in for "-", and its size, -1 when that is not known.
func open(path string, in io.Reader) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(in), -1, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	if info.IsDir() {
		_ = f.Close()
		return nil, 0, fmt.Errorf("%s is a directory; give a file, or - for standard input", path)
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

func showReceipt(out io.Writer, receipt client.Receipt) error {
	version, size := fmt.Sprint(receipt.Version), fmt.Sprintf("%d bytes", receipt.Size)
	if receipt.Unchanged {
		version += " (these bytes were there already)"
	}
	if receipt.Width != 0 {
		size += fmt.Sprintf(", %d × %d px", receipt.Width, receipt.Height)
	}
	return printRows(out, nil, [][]string{
		{"asset", receipt.ID},
		{"version", version},
		{"type", receipt.MediaType},
		{"size", size},
		{"sha-256", receipt.Digest.String()},
		{"revision", fmt.Sprint(receipt.Revision)},
		{"path", receipt.Path},
	})
}
