package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func putCommand() *cobra.Command {
	var r remote
	var o client.PutOptions
	cmd := &cobra.Command{
		Use:     "put PRODUCT/NAME FILE",
		Short:   "Upload a file: the first upload makes the asset, the next a version",
		Example: "  assetmatrix put shop/banners/hero.jpg ~/pictures/hero.jpg\n  generate | assetmatrix put shop/feeds/prices.csv -",
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			product, name, err := splitTarget(args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("if-version") && o.IfVersion < 1 { // 0 would mean that nothing is demanded
				return usageError{fmt.Errorf("--if-version is %d; versions begin with 1, and --create-only demands that there is none", o.IfVersion)}
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Receipt, error) {
				return upload(ctx, cmd, c, product, name, args[1], o)
			}, showReceipt)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&o.MediaType, "type", "", "declare the media type; without it the server looks")
	cmd.Flags().IntVar(&o.IfVersion, "if-version", 0, "only when this is the current version")
	cmd.Flags().BoolVar(&o.CreateOnly, "create-only", false, "only when the name is free")
	return cmd
}

func upload(ctx context.Context, cmd *cobra.Command, c *client.Client, product, name, path string, o client.PutOptions) (client.Receipt, error) {
	body, size, err := open(path, cmd.InOrStdin())
	if err != nil {
		return client.Receipt{}, err
	}
	defer func() { _ = body.Close() }()
	return c.PutAsset(ctx, product, name, withProgress(body, size, cmd.ErrOrStderr()), size, o)
}

// splitTarget takes PRODUCT/NAME apart.
func splitTarget(target string) (product, name string, err error) {
	product, name, ok := strings.Cut(target, "/")
	if !ok || product == "" || name == "" {
		return "", "", usageError{fmt.Errorf("%q is no PRODUCT/NAME, such as shop/banners/hero.jpg", target)}
	}
	return product, name, nil
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

// withProgress shows a bar on errs when that is a terminal and the upload is large enough to take a while.
func withProgress(r io.Reader, size int64, errs io.Writer) io.Reader {
	const worthIt = 8 << 20
	screen, ok := errs.(*os.File)
	if !ok || size >= 0 && size < worthIt || !term.IsTerminal(int(screen.Fd())) {
		return r
	}
	return io.TeeReader(r, progressbar.DefaultBytes(size, "uploading"))
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

func getCommand() *cobra.Command {
	var r remote
	var o client.ListOptions
	cmd := &cobra.Command{
		Use:   "get PRODUCT[/NAME]",
		Short: "Show an asset with its versions and links, or list a product's assets",
		Args:  takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if product, ok := wholeProduct(args[0]); ok {
				return list(cmd, r, product, o)
			}
			product, name, err := splitTarget(args[0])
			if err != nil {
				return err
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Entry, error) {
				return c.Asset(ctx, product, name)
			}, showEntry)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&o.Prefix, "prefix", "", "list only the names that begin so")
	cmd.Flags().IntVar(&o.Limit, "limit", 0, "names in a page, at most 1000")
	cmd.Flags().StringVar(&o.Cursor, "cursor", "", "go on where the page before ended")
	return cmd
}

// wholeProduct reports whether the target is a product alone, with or without a slash behind it.
func wholeProduct(target string) (product string, ok bool) {
	product, name, _ := strings.Cut(target, "/")
	return product, product != "" && name == ""
}

func showEntry(out io.Writer, entry client.Entry) error {
	fmt.Fprintf(out, "%s/%s is asset %s of %s, %s, version %d\n\n", entry.Product, entry.Name, entry.ID, entry.Owner, entry.Status, entry.Version)
	var versions, links [][]string
	for _, v := range entry.Versions {
		size := ""
		if v.Picture != nil {
			size = pixels(v.Picture.Width, v.Picture.Height)
		}
		versions = append(versions, []string{fmt.Sprint(v.Number), v.MediaType, size, fmt.Sprint(v.Size), v.Digest.String()[:16], moment(v.Created)})
	}
	for _, l := range entry.Links {
		pin := "follows"
		if l.Version != 0 {
			pin = fmt.Sprintf("pinned to %d", l.Version)
		}
		links = append(links, []string{l.Product, l.Name, pin})
	}
	if err := printRows(out, []string{"VERSION", "TYPE", "PX", "BYTES", "SHA-256", "CREATED"}, versions); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return printRows(out, []string{"PRODUCT", "NAME", "VERSION"}, links)
}

// pixels spells a size in a row, "" for what is no picture.
func pixels(width, height int) string {
	if width == 0 {
		return ""
	}
	return fmt.Sprintf("%d×%d", width, height)
}

// list prints a page of a product's assets. Where the next begins is no part of the rows and stands on standard error.
func list(cmd *cobra.Command, r remote, product string, o client.ListOptions) error {
	return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Page, error) {
		return c.List(ctx, product, o)
	}, func(out io.Writer, page client.Page) error {
		var rows [][]string
		for _, a := range page.Assets {
			rows = append(rows, []string{a.Name, fmt.Sprint(a.Version), string(a.Status), a.MediaType, pixels(a.Width, a.Height), fmt.Sprint(a.Size)})
		}
		if page.Next != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "There is more: --cursor %s\n", page.Next)
		}
		return printRows(out, []string{"NAME", "VERSION", "STATUS", "TYPE", "PX", "BYTES"}, rows)
	})
}

func linkCommand() *cobra.Command {
	var r remote
	var pin int
	cmd := &cobra.Command{
		Use:     "link PRODUCT/NAME OTHER/NAME",
		Short:   "Give a product a name for an asset that another product has",
		Example: "  assetmatrix link app/hero.jpg shop/banners/hero.jpg",
		Args:    takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			product, name, err := splitTarget(args[0])
			if err != nil {
				return err
			}
			owner, known, err := splitTarget(args[1])
			if err != nil {
				return err
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Link, error) {
				entry, err := c.Asset(ctx, owner, known)
				if err != nil {
					return client.Link{}, err
				}
				return c.PutLink(ctx, product, name, client.LinkSpec{Asset: entry.ID, Version: pin})
			}, showLink)
		},
	}
	r.flags(cmd)
	cmd.Flags().IntVar(&pin, "pin", 0, "keep to this version; without it the name follows the asset")
	return cmd
}

func showLink(out io.Writer, l client.Link) error {
	_, err := fmt.Fprintf(out, "%s/%s is asset %s, at revision %d\n", l.Product, l.Name, l.Asset, l.Revision)
	return err
}
