package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func purgeCommand() *cobra.Command {
	var r remote
	var spec client.PurgeSpec
	cmd := &cobra.Command{
		Use:   "purge (--product PRODUCT | --asset ASSET | --tag TAG [--product PRODUCT] | --url URL)",
		Short: "Make renditions unreachable at once, on every edge; they are made anew when they are asked for",
		Example: "  assetmatrix purge --url https://cdn.example/shop/w=400/banners/hero.jpg\n" +
			"  assetmatrix purge --asset shop/banners/hero.jpg\n" +
			"  assetmatrix purge --tag summer --product shop",
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPurge(spec); err != nil {
				return err
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (done client.Done, err error) {
				if spec.Asset, err = assetID(ctx, c, spec.Asset); err != nil {
					return done, err
				}
				return c.Purge(ctx, spec)
			}, func(out io.Writer, done client.Done) error {
				_, err := fmt.Fprintf(out, "purged at revision %d\n", done.Revision)
				return err
			})
		},
	}
	r.writeFlags(cmd)
	cmd.Flags().StringVar(&spec.Product, "product", "", "all that is delivered as this product's; with --tag, this product's own assets that have the tag")
	cmd.Flags().StringVar(&spec.Asset, "asset", "", "an asset under all its names: its id, or PRODUCT/NAME")
	cmd.Flags().StringVar(&spec.Tag, "tag", "", "the assets that have the tag")
	cmd.Flags().StringVar(&spec.URL, "url", "", "a delivery URL, or its path: everything under its name")
	_ = cmd.RegisterFlagCompletionFunc("product", completeProducts(&r, 1))
	_ = cmd.RegisterFlagCompletionFunc("asset", completeTargets(&r, 1))
	return cmd
}

// checkPurge fails unless one thing is named.
func checkPurge(spec client.PurgeSpec) error {
	one := 0
	for _, s := range []string{spec.Asset, spec.URL, cmp.Or(spec.Tag, spec.Product)} {
		if s != "" {
			one++
		}
	}
	if one != 1 {
		return usageError{errors.New("name one thing: --product, --asset, --tag (perhaps with --product), or --url")}
	}
	return nil
}

// assetID returns the id of an asset that is given by it or by PRODUCT/NAME: an id has no slash.
func assetID(ctx context.Context, c *client.Client, given string) (string, error) {
	if !strings.Contains(given, "/") {
		return given, nil
	}
	product, name, err := splitTarget(given)
	if err != nil {
		return "", err
	}
	entry, err := c.Asset(ctx, product, name)
	return entry.ID, err
}

func garbageCommand() *cobra.Command {
	var r remote
	var dryRun bool
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "garbage",
		Short: "Delete the originals that no version has used for a while",
		Example: "  assetmatrix garbage --dry-run\n" +
			"  assetmatrix garbage --grace 168h",
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec := client.GarbageSpec{DryRun: dryRun}
			if cmd.Flags().Changed("grace") {
				spec.Grace = grace.String()
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Collected, error) {
				return c.CollectGarbage(ctx, spec)
			}, showCollected)
		},
	}
	r.writeFlags(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be deleted")
	cmd.Flags().DurationVar(&grace, "grace", 0, "how long an original must have been without use (left out: the server's ingest.garbage.grace)")
	return cmd
}

func showCollected(out io.Writer, all client.Collected) error {
	var rows [][]string
	for _, g := range all.Originals {
		rows = append(rows, []string{g.Digest.String(), fmt.Sprint(g.Size), moment(g.Since), strings.Join(g.Providers, " "), fmt.Sprint(g.Deleted)})
	}
	if err := printRows(out, []string{"SHA-256", "BYTES", "UNUSED SINCE", "PROVIDERS", "DELETED"}, rows); err != nil {
		return err
	}
	verb := "deleted"
	if all.DryRun {
		verb = "would be deleted"
	}
	_, err := fmt.Fprintf(out, "\n%d originals of %d bytes %s\n", all.Count, all.Size, verb)
	return err
}
