package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

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
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return put(cmd.Context(), cmd.OutOrStdout(), r, args[0], args[1], o)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&o.MediaType, "type", "", "declare the media type; without it the server looks")
	cmd.Flags().IntVar(&o.IfVersion, "if-version", 0, "only when this is the current version")
	cmd.Flags().BoolVar(&o.CreateOnly, "create-only", false, "only when the name is free")
	return cmd
}

func put(ctx context.Context, out io.Writer, r remote, target, path string, o client.PutOptions) error {
	product, name, err := splitTarget(target)
	if err != nil {
		return err
	}
	c, err := r.client()
	if err != nil {
		return err
	}
	body, size, err := open(path)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	receipt, err := c.PutAsset(ctx, product, name, withProgress(body, size), size, o)
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(out, receipt)
	}
	return printRows(out, nil, [][]string{
		{"asset", receipt.ID},
		{"version", fmt.Sprint(receipt.Version) + unchanged(receipt)},
		{"type", receipt.MediaType},
		{"size", fmt.Sprintf("%d bytes%s", receipt.Size, pixels(receipt.Width, receipt.Height))},
		{"sha-256", receipt.Digest.String()},
		{"revision", fmt.Sprint(receipt.Revision)},
		{"path", receipt.Path},
	})
}

func unchanged(receipt client.Receipt) string {
	if receipt.Unchanged {
		return " (these bytes were there already)"
	}
	return ""
}

func pixels(width, height int) string {
	if width == 0 {
		return ""
	}
	return fmt.Sprintf(", %d × %d px", width, height)
}

// splitTarget takes PRODUCT/NAME apart.
func splitTarget(target string) (product, name string, err error) {
	product, name, ok := strings.Cut(target, "/")
	if !ok || product == "" || name == "" {
		return "", "", usageError{fmt.Errorf("%q is no PRODUCT/NAME, such as shop/banners/hero.jpg", target)}
	}
	return product, name, nil
}

// open returns the file, or standard input for "-", and its size, -1 when that is not known.
func open(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), -1, nil
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
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

// withProgress shows a bar on standard error when that is a terminal and the upload is large enough to take a while.
func withProgress(r io.Reader, size int64) io.Reader {
	const worthIt = 8 << 20
	if size >= 0 && size < worthIt || !term.IsTerminal(int(os.Stderr.Fd())) {
		return r
	}
	bar := progressbar.DefaultBytes(size, "uploading")
	return io.TeeReader(r, bar)
}

func getCommand() *cobra.Command {
	var r remote
	var o client.ListOptions
	cmd := &cobra.Command{
		Use:   "get PRODUCT[/NAME]",
		Short: "Show an asset with its versions and links, or list a product's assets",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.client()
			if err != nil {
				return err
			}
			product, name, _ := strings.Cut(args[0], "/")
			if name == "" {
				return list(cmd.Context(), cmd.OutOrStdout(), c, r.json, product, o)
			}
			return show(cmd.Context(), cmd.OutOrStdout(), c, r.json, product, name)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&o.Prefix, "prefix", "", "list only the names that begin so")
	cmd.Flags().IntVar(&o.Limit, "limit", 0, "names in a page, at most 1000")
	cmd.Flags().StringVar(&o.Cursor, "cursor", "", "go on where the page before ended")
	return cmd
}

func show(ctx context.Context, out io.Writer, c *client.Client, asJSON bool, product, name string) error {
	entry, err := c.Asset(ctx, product, name)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, entry)
	}
	fmt.Fprintf(out, "%s/%s is asset %s of %s, %s, version %d\n\n", product, name, entry.ID, entry.Owner, entry.Status, entry.Version)
	var rows [][]string
	for _, v := range entry.Versions {
		size := ""
		if v.Picture != nil {
			size = fmt.Sprintf("%d×%d", v.Picture.Width, v.Picture.Height)
		}
		rows = append(rows, []string{fmt.Sprint(v.Number), v.MediaType, size, fmt.Sprint(v.Size), v.Digest.String()[:16], v.Created.Format("2006-01-02 15:04:05")})
	}
	if err := printRows(out, []string{"VERSION", "TYPE", "PX", "BYTES", "SHA-256", "CREATED"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, l := range entry.Links {
		pin := "follows"
		if l.Version != 0 {
			pin = fmt.Sprintf("pinned to %d", l.Version)
		}
		rows = append(rows, []string{l.Product, l.Name, pin})
	}
	fmt.Fprintln(out)
	return printRows(out, []string{"PRODUCT", "NAME", "VERSION"}, rows)
}

func list(ctx context.Context, out io.Writer, c *client.Client, asJSON bool, product string, o client.ListOptions) error {
	page, err := c.List(ctx, product, o)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, page)
	}
	var rows [][]string
	for _, a := range page.Assets {
		size := ""
		if a.Width != 0 {
			size = fmt.Sprintf("%d×%d", a.Width, a.Height)
		}
		rows = append(rows, []string{a.Name, fmt.Sprint(a.Version), string(a.Status), a.MediaType, size, fmt.Sprint(a.Size)})
	}
	if err := printRows(out, []string{"NAME", "VERSION", "STATUS", "TYPE", "PX", "BYTES"}, rows); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(os.Stderr, "There is more: --cursor %s\n", page.Next)
	}
	return nil
}

func linkCommand() *cobra.Command {
	var r remote
	var pin int
	cmd := &cobra.Command{
		Use:     "link PRODUCT/NAME OTHER/NAME",
		Short:   "Give a product a name for an asset that another product has",
		Example: "  assetmatrix link app/hero.jpg shop/banners/hero.jpg",
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return link(cmd.Context(), cmd.OutOrStdout(), r, args[0], args[1], pin)
		},
	}
	r.flags(cmd)
	cmd.Flags().IntVar(&pin, "pin", 0, "keep to this version; without it the name follows the asset")
	return cmd
}

func link(ctx context.Context, out io.Writer, r remote, to, from string, pin int) error {
	product, name, err := splitTarget(to)
	if err != nil {
		return err
	}
	owner, known, err := splitTarget(from)
	if err != nil {
		return err
	}
	c, err := r.client()
	if err != nil {
		return err
	}
	entry, err := c.Asset(ctx, owner, known)
	if err != nil {
		return err
	}
	made, err := c.PutLink(ctx, product, name, client.LinkSpec{Asset: entry.ID, Version: pin})
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(out, made)
	}
	fmt.Fprintf(out, "%s/%s is asset %s, at revision %d\n", product, name, entry.ID, made.Revision)
	return nil
}

func urlCommand() *cobra.Command {
	var base string
	cmd := &cobra.Command{
		Use:     "url PRODUCT/NAME [OPTIONS]",
		Short:   "Spell the delivery URL of an asset in canonical form",
		Example: "  assetmatrix url shop/banners/hero.jpg width=400,height=300,fit=cover",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			options := "original"
			if len(args) == 2 {
				options = args[1]
			}
			spelled, err := deliveryURL(base, args[0], options)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), spelled)
			return nil
		},
	}
	cmd.Flags().StringVar(&base, "delivery", "http://127.0.0.1:8080", "where the front door is")
	return cmd
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func printRows(out io.Writer, head []string, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if head != nil {
		fmt.Fprintln(w, strings.Join(head, "\t"))
	}
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}
