package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func getCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "get PRODUCT/NAME",
		Short: "Show an asset with its versions and links",
		Example: "  assetmatrix get shop/banners/hero.jpg\n" +
			"  assetmatrix get shop/banners/hero.jpg --json | jq -r .versions[-1].digest",
		Args:              takes(1, 1),
		ValidArgsFunction: completeTargets(&r, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
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
	return cmd
}

func showEntry(out io.Writer, entry client.Entry) error {
	fmt.Fprintf(out, "%s/%s is asset %s of %s, %s, version %d\n", entry.Product, entry.Name, entry.ID, entry.Owner, entry.Status, entry.Version)
	if len(entry.Tags) > 0 {
		fmt.Fprintf(out, "tags: %s\n", strings.Join(entry.Tags, " "))
	}
	if entry.Focal != nil {
		fmt.Fprintf(out, "focal point: %g %g\n", entry.Focal.X, entry.Focal.Y)
	}
	fmt.Fprintln(out)
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

func listCommand() *cobra.Command {
	var r remote
	var o client.ListOptions
	var all bool
	cmd := &cobra.Command{
		Use:     "list PRODUCT",
		Aliases: []string{"ls"},
		Short:   "List a product's assets in the order of their names",
		Long: "List a product's assets in the order of their names: a page of them, or with --all every one. With --all --json\n" +
			"each page is a JSON document of its own.",
		Example: "  assetmatrix list shop --prefix banners/\n" +
			"  assetmatrix list shop --all --json | jq -r '.assets[].name'",
		Args:              takes(1, 1),
		ValidArgsFunction: completeProducts(&r, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && !cmd.Flags().Changed("limit") {
				o.Limit = largestPage
			}
			return list(cmd, r, strings.TrimSuffix(args[0], "/"), o, all)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&o.Prefix, "prefix", "", "only the names that begin so")
	cmd.Flags().IntVar(&o.Limit, "limit", 0, "names on a page, at most 1000 (the server's default: 100)")
	cmd.Flags().StringVar(&o.Cursor, "cursor", "", "go on where the page before ended")
	cmd.Flags().BoolVar(&all, "all", false, "all pages")
	return cmd
}

// largestPage is the most names that the server puts on a page.
const largestPage = 1000

// list prints a page of a product's assets, or all from there on. Where the next begins is no part of the rows.
func list(cmd *cobra.Command, r remote, product string, o client.ListOptions, all bool) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	show := showPage
	for {
		page, err := c.List(cmd.Context(), product, o)
		if err != nil {
			return err
		}
		if err := printAnswer(cmd, r, page, show); err != nil {
			return err
		}
		switch {
		case page.Next == "":
			return nil
		case !all:
			return more(cmd, r, page.Next)
		}
		o.Cursor, show = page.Next, showFurtherPage
	}
}

// more says where the next page begins, which the JSON says by itself.
func more(cmd *cobra.Command, r remote, cursor string) error {
	if r.json {
		return nil
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "There is more: --cursor %s, or --all\n", cursor)
	return err
}

func showPage(out io.Writer, page client.Page) error {
	return printRows(out, []string{"NAME", "VERSION", "STATUS", "TYPE", "PX", "BYTES"}, rowsOf(page))
}

// showFurtherPage lines up a page by itself, so that a long list begins to be shown at once.
func showFurtherPage(out io.Writer, page client.Page) error {
	return printRows(out, nil, rowsOf(page))
}

func rowsOf(page client.Page) (rows [][]string) {
	for _, a := range page.Assets {
		rows = append(rows, []string{a.Name, fmt.Sprint(a.Version), string(a.Status), a.MediaType, pixels(a.Width, a.Height), fmt.Sprint(a.Size)})
	}
	return rows
}

// splitTarget takes PRODUCT/NAME apart.
func splitTarget(target string) (product, name string, err error) {
	product, name, ok := strings.Cut(target, "/")
	if !ok || product == "" || name == "" {
		return "", "", usageError{fmt.Errorf("%q is no PRODUCT/NAME, such as shop/banners/hero.jpg", target)}
	}
	return product, name, nil
}
