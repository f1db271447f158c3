package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// stateCommands change what an asset is, not its bytes.
func stateCommands() []*cobra.Command {
	return []*cobra.Command{publishCommand(), archiveCommand(), rollbackCommand(), tagCommand(), focalCommand()}
}

func publishCommand() *cobra.Command {
	return patchCommand(&cobra.Command{
		Use:     "publish PRODUCT/NAME",
		Short:   "Deliver an asset that was put with --pending: PENDING → ACTIVE",
		Example: "  assetmatrix publish shop/banners/hero.jpg",
		Args:    takes(1, 1),
	}, func([]string) (client.AssetPatch, error) { return client.AssetPatch{Status: asset.Active}, nil })
}

func archiveCommand() *cobra.Command {
	return patchCommand(&cobra.Command{
		Use:     "archive PRODUCT/NAME",
		Short:   "Deliver an asset no longer, for good: its URLs answer 410 from now on",
		Example: "  assetmatrix archive shop/banners/hero.jpg",
		Args:    takes(1, 1),
	}, func([]string) (client.AssetPatch, error) { return client.AssetPatch{Status: asset.Archived}, nil })
}

func rollbackCommand() *cobra.Command {
	return patchCommand(&cobra.Command{
		Use:     "rollback PRODUCT/NAME VERSION",
		Short:   "Make an earlier version, or a later one again, the one that unpinned URLs get",
		Example: "  assetmatrix rollback shop/banners/hero.jpg 2\n  assetmatrix rollback shop/banners/hero.jpg 2 --if-version 3 --wait edges",
		Args:    takes(2, 2),
	}, func(args []string) (client.AssetPatch, error) {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return client.AssetPatch{}, usageError{fmt.Errorf("%q is no version; versions are numbered from 1", args[0])}
		}
		return client.AssetPatch{Current: n}, nil
	})
}

func tagCommand() *cobra.Command {
	var none bool
	cmd := patchCommand(&cobra.Command{
		Use:     "tag PRODUCT/NAME (TAG... | --none)",
		Short:   "Give an asset these tags and no others",
		Example: "  assetmatrix tag shop/banners/hero.jpg summer campaign-7\n  assetmatrix tag shop/banners/hero.jpg --none",
		Args:    takes(1, 1+asset.MaxTags),
	}, func(tags []string) (client.AssetPatch, error) {
		if none != (len(tags) == 0) {
			return client.AssetPatch{}, usageError{fmt.Errorf("%d tags are given and --none is %t; give the tags, or --none to take all off", len(tags), none)}
		}
		return client.AssetPatch{Tags: &tags}, nil
	})
	cmd.Flags().BoolVar(&none, "none", false, "take all tags off")
	return cmd
}

func focalCommand() *cobra.Command {
	var unset bool
	cmd := patchCommand(&cobra.Command{
		Use:     "focal PRODUCT/NAME (X Y | --unset)",
		Short:   "Say what crops with gravity auto keep: a point, as fractions of width and height from the upper left",
		Example: "  assetmatrix focal shop/banners/hero.jpg 0.5 0.25\n  assetmatrix focal shop/banners/hero.jpg --unset",
		Args:    takes(1, 3),
	}, func(args []string) (client.AssetPatch, error) {
		switch {
		case unset && len(args) == 0:
			return client.AssetPatch{NoFocal: true}, nil
		case unset || len(args) != 2:
			return client.AssetPatch{}, usageError{fmt.Errorf("a focal point is X and Y, such as 0.5 0.25, or --unset")}
		}
		point, err := parsePoint(args[0], args[1])
		return client.AssetPatch{Focal: &point}, err
	})
	cmd.Flags().BoolVar(&unset, "unset", false, "forget the point")
	return cmd
}

func parsePoint(x, y string) (p client.Point, err error) {
	for _, c := range []struct {
		text string
		into *float64
	}{{x, &p.X}, {y, &p.Y}} {
		if *c.into, err = strconv.ParseFloat(c.text, 64); err != nil || !(*c.into >= 0 && *c.into <= 1) {
			return p, usageError{fmt.Errorf("%q is no fraction of a side; allowed: 0–1, such as 0.25", c.text)}
		}
	}
	return p, nil
}

// patchCommand makes cmd, whose first argument is an asset, one that patches it. patchOf reads the other arguments.
func patchCommand(cmd *cobra.Command, patchOf func(args []string) (client.AssetPatch, error)) *cobra.Command {
	var r remote
	var cond client.Condition
	cmd.ValidArgsFunction = completeTargets(&r, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		product, name, err := splitTarget(args[0])
		if err != nil {
			return err
		}
		patch, err := patchOf(args[1:])
		if err != nil {
			return err
		}
		return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Entry, error) {
			return c.PatchAsset(ctx, product, name, patch, cond)
		}, showState)
	}
	r.writeFlags(cmd)
	ifVersionFlag(cmd, &cond.Version)
	ifStateFlag(cmd, &cond.State)
	return cmd
}

func showState(out io.Writer, e client.Entry) error {
	rows := [][]string{
		{"status", string(e.Status)},
		{"version", fmt.Sprint(e.Current)},
	}
	if len(e.Tags) > 0 {
		rows = append(rows, []string{"tags", strings.Join(e.Tags, " ")})
	}
	if e.Focal != nil {
		rows = append(rows, []string{"focal", fmt.Sprintf("%g %g", e.Focal.X, e.Focal.Y)})
	}
	return printRows(out, nil, append(rows, []string{"revision", fmt.Sprint(e.Revision)}))
}
