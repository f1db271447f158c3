package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func linkCommand() *cobra.Command {
	var r remote
	var pin int
	var cond client.Condition
	cmd := &cobra.Command{
		Use:   "link PRODUCT/NAME OTHER/NAME",
		Short: "Give a product a name for an asset that another product has",
		Example: "  assetmatrix link app/hero.jpg shop/banners/hero.jpg\n" +
			"  assetmatrix link app/hero.jpg shop/banners/hero.jpg --pin 2",
		Args:              takes(2, 2),
		ValidArgsFunction: completeTargets(&r, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			product, name, err := splitTarget(args[0])
			if err != nil {
				return err
			}
			other, known, err := splitTarget(args[1])
			if err != nil {
				return err
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Link, error) {
				return c.PutLinkIf(ctx, product, name, client.LinkSpec{Product: other, Name: known, Version: pin}, cond)
			}, showLink)
		},
	}
	r.writeFlags(cmd)
	cmd.Flags().IntVar(&pin, "pin", 0, "keep to this version; without it the name follows the asset")
	cmd.Flags().BoolVar(&cond.CreateOnly, "create-only", false, "only when the name is free")
	return cmd
}

func showLink(out io.Writer, l client.Link) error {
	_, err := fmt.Fprintf(out, "%s/%s is asset %s, at revision %d\n", l.Product, l.Name, l.Asset, l.Revision)
	return err
}

func unlinkCommand() *cobra.Command {
	return takeAwayCommand(&cobra.Command{
		Use:     "unlink PRODUCT/NAME",
		Short:   "Take a name from a product, as delete does: an asset goes with its last name",
		Example: "  assetmatrix unlink app/hero.jpg",
	}, (*client.Client).DeleteLink)
}

func deleteCommand() *cobra.Command {
	return takeAwayCommand(&cobra.Command{
		Use:   "delete PRODUCT/NAME",
		Short: "Take a name from a product; an asset goes with its last name",
		Long: "Take a name from a product; an asset goes with its last name, and its originals are deleted by `assetmatrix garbage`\n" +
			"when no other version has used them for a while.",
		Example: "  assetmatrix delete shop/banners/hero.jpg --if-version 3",
	}, (*client.Client).DeleteAsset)
}

// takeAwayCommand makes cmd one that takes a name away.
func takeAwayCommand(cmd *cobra.Command, call func(*client.Client, context.Context, string, string, client.Condition) (client.Deleted, error)) *cobra.Command {
	var r remote
	var cond client.Condition
	cmd.Args = takes(1, 1)
	cmd.ValidArgsFunction = completeTargets(&r, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		product, name, err := splitTarget(args[0])
		if err != nil {
			return err
		}
		return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Deleted, error) {
			return call(c, ctx, product, name, cond)
		}, showDeleted)
	}
	r.writeFlags(cmd)
	ifVersionFlag(cmd, &cond.Version)
	ifStateFlag(cmd, &cond.State)
	return cmd
}

func showDeleted(out io.Writer, d client.Deleted) error {
	rest := "has other names"
	if d.AssetDeleted {
		rest = "had no other name and is deleted"
	}
	_, err := fmt.Fprintf(out, "asset %s %s, at revision %d\n", d.Asset, rest, d.Revision)
	return err
}
