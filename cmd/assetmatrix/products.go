package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func productsCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "products",
		Short: "List the products",
		Args:  takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Products, error) {
				return c.Products(ctx)
			}, showProducts)
		},
	}
	r.flags(cmd)
	cmd.AddCommand(productsPutCommand())
	return cmd
}

func showProducts(out io.Writer, all client.Products) error {
	var rows [][]string
	for _, p := range all.Products {
		rows = append(rows, []string{p.Name, strings.Join(slices.Sorted(maps.Keys(p.Presets)), " "), moment(p.Created)})
	}
	return printRows(out, []string{"PRODUCT", "PRESETS", "CREATED"}, rows)
}

func productsPutCommand() *cobra.Command {
	var r remote
	var spec client.ProductSpec
	var lifetimes client.Lifetimes
	cmd := &cobra.Command{
		Use:     "put PRODUCT",
		Short:   "Make a product, or give one this shape: what is left out is unset",
		Example: "  assetmatrix products put shop --preset 'thumb=w=200,h=200,fit=cover' --origin https://shop.example",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lifetimes != (client.Lifetimes{}) {
				spec.Lifetimes = &lifetimes
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Product, error) {
				return c.PutProduct(ctx, args[0], spec)
			}, showProduct)
		},
	}
	r.flags(cmd)
	cmd.Flags().Var(presets{&spec.Presets}, "preset", "NAME=OPTIONS; may be given several times")
	cmd.Flags().StringArrayVar(&spec.Origins, "origin", nil, "a CORS origin that may read; may be given several times; none is any")
	for name, l := range map[string]struct {
		seconds *int
		use     string
	}{
		"max-age":                {&lifetimes.MaxAge, "seconds that browsers keep an answer"},
		"s-maxage":               {&lifetimes.SharedMaxAge, "seconds that CDNs keep an answer"},
		"stale-while-revalidate": {&lifetimes.StaleWhileRevalidate, "seconds that an answer may be used while it is asked for again"},
		"stale-if-error":         {&lifetimes.StaleIfError, "seconds that an answer may be used while we cannot be reached"},
	} {
		cmd.Flags().IntVar(l.seconds, name, 0, l.use)
	}
	return cmd
}

func showProduct(out io.Writer, p client.Product) error {
	_, err := fmt.Fprintf(out, "%s stands so at revision %d\n", p.Name, p.Revision)
	return err
}

// presets is a flag of NAME=OPTIONS, whose options hold commas and equal signs themselves.
type presets struct{ into *map[string]string }

func (p presets) Set(text string) error {
	name, options, ok := strings.Cut(text, "=")
	if !ok || name == "" || options == "" {
		return fmt.Errorf("%q is no NAME=OPTIONS, such as thumb=w=200,h=200", text)
	}
	if *p.into == nil {
		*p.into = map[string]string{}
	}
	(*p.into)[name] = options
	return nil
}

func (p presets) String() string { return "" }

func (p presets) Type() string { return "NAME=OPTIONS" }

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": version, "go": runtime.Version()})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "assetmatrix %s, %s\n", version, runtime.Version())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
