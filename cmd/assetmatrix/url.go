package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/resolve"
)

func urlCommand() *cobra.Command {
	var base string
	cmd := &cobra.Command{
		Use:     "url PRODUCT/NAME [OPTIONS]",
		Short:   "Spell the delivery URL of an asset in canonical form, without asking a server",
		Example: "  assetmatrix url shop/banners/hero.jpg width=400,height=300,fit=cover",
		Args:    takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			options := "original"
			if len(args) == 2 {
				options = args[1]
			}
			url, err := deliveryURL(base, args[0], options)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), url)
			return err
		},
	}
	cmd.Flags().StringVar(&base, "delivery", "http://127.0.0.1:8080", "where the front door is")
	return cmd
}

// deliveryURL spells a delivery URL, and fails where the front door would refuse it.
func deliveryURL(base, target, options string) (string, error) {
	product, name, err := splitTarget(target)
	if err != nil {
		return "", err
	}
	name = client.EscapeName(name)
	t, err := resolve.Parse("/"+product+"/"+options+"/"+name, "")
	if err != nil {
		return "", usageError{err}
	}
	return strings.TrimRight(base, "/") + "/" + product + "/" + spelled(t, options) + "/" + name, nil
}

// spelled returns the options of t in canonical form. A preset stays as it is given: its product says what it means.
func spelled(t resolve.Target, given string) string {
	switch {
	case t.Mode != resolve.ModeDeliver || t.Preset != "":
		return given
	case t.Version != 0:
		return fmt.Sprintf("v=%d,%s", t.Version, t.Options)
	}
	return t.Options.String()
}

func resolveCommand() *cobra.Command {
	var r remote
	var o client.ResolveOptions
	cmd := &cobra.Command{
		Use:   "resolve PRODUCT/NAME [OPTIONS]",
		Short: "Ask what a delivery URL leads to: version, type, size, and the URL that will always mean this",
		Example: "  assetmatrix resolve shop/banners/hero.jpg w=400,h=300,fit=cover --accept image/avif\n" +
			"  assetmatrix resolve shop/banners/hero.jpg thumb --min-revision 17 --json | jq -r .url",
		Args:              takes(1, 2),
		ValidArgsFunction: completeTargets(&r, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			product, name, err := splitTarget(args[0])
			if err != nil {
				return err
			}
			options := "original"
			if len(args) == 2 {
				options = args[1]
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Resolution, error) {
				return c.Resolve(ctx, product, options, name, o)
			}, showResolution)
		},
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&o.Accept, "accept", "", "the Accept header of who will ask for the URL")
	cmd.Flags().Uint64Var(&o.MinRevision, "min-revision", 0, "the revision that the answer must have seen")
	return cmd
}

func showResolution(out io.Writer, r client.Resolution) error {
	expiry := "never"
	if r.Expiry != nil {
		expiry = moment(*r.Expiry)
	}
	rows := [][]string{
		{"url", r.URL},
		{"unpinned", r.Unpinned},
		{"expires", expiry},
		{"asset", r.ID},
		{"version", fmt.Sprint(r.Version)},
		{"type", r.MediaType},
	}
	if r.Width != 0 {
		rows = append(rows, []string{"size", fmt.Sprintf("%d × %d px", r.Width, r.Height)})
	}
	return printRows(out, nil, append(rows, []string{"original", r.Digest.String()}, []string{"revision", fmt.Sprint(r.Revision)}))
}
