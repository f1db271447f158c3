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
	cmd := &cobra.Command{
		Use:     "products",
		Short:   "List, show, define and delete products",
		Example: "  assetmatrix products list\n  assetmatrix products put shop --preset 'thumb=w=200,h=200,fit=cover'",
	}
	list := productsListCommand()
	cmd.Args, cmd.RunE = list.Args, list.RunE // without a word behind it, it lists
	cmd.Flags().AddFlagSet(list.Flags())
	cmd.AddCommand(list, productsGetCommand(), productsPutCommand(), productsDeleteCommand())
	return cmd
}

func productsListCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the products",
		Example: "  assetmatrix products list --json | jq -r '.products[].name'",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Products, error) {
				return c.Products(ctx)
			}, showProducts)
		},
	}
	r.flags(cmd)
	return cmd
}

func showProducts(out io.Writer, all client.Products) error {
	var rows [][]string
	for _, p := range all.Products {
		rows = append(rows, []string{p.Name, strings.Join(slices.Sorted(maps.Keys(p.Presets)), " "), moment(p.Created)})
	}
	return printRows(out, []string{"PRODUCT", "PRESETS", "CREATED"}, rows)
}

func productsGetCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:               "get PRODUCT",
		Short:             "Show a product",
		Example:           "  assetmatrix products get shop",
		Args:              takes(1, 1),
		ValidArgsFunction: completeProducts(&r, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Product, error) {
				return c.Product(ctx, args[0])
			}, showProduct)
		},
	}
	r.flags(cmd)
	return cmd
}

func productsPutCommand() *cobra.Command {
	var r remote
	var spec client.ProductSpec
	var lifetimes client.Lifetimes
	var cond client.Condition
	cmd := &cobra.Command{
		Use:               "put PRODUCT",
		Short:             "Make a product, or give one this shape: what is left out is unset",
		Example:           "  assetmatrix products put shop --preset 'thumb=w=200,h=200,fit=cover' --origin https://shop.example --max-age 60",
		Args:              takes(1, 1),
		ValidArgsFunction: completeProducts(&r, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cond.State != "" && cond.CreateOnly {
				return errNewWithVersion
			}
			if lifetimes != (client.Lifetimes{}) {
				spec.Lifetimes = &lifetimes
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Product, error) {
				return c.PutProductIf(ctx, args[0], spec, cond)
			}, showProduct)
		},
	}
	r.writeFlags(cmd)
	ifStateFlag(cmd, &cond.State)
	cmd.Flags().BoolVar(&cond.CreateOnly, "create-only", false, "only when there is no such product")
	cmd.Flags().Var(presets{&spec.Presets}, "preset", "NAME=OPTIONS; may be given several times")
	cmd.Flags().StringArrayVar(&spec.Origins, "origin", nil, "a CORS origin that may read; may be given several times; none is any")
	cmd.Flags().BoolVar(&spec.ClientHints, "client-hints", false, "let Sec-CH-DPR, Sec-CH-Width and Save-Data decide what a URL leaves open")
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
	rows := [][]string{{"product", p.Name}}
	for _, name := range slices.Sorted(maps.Keys(p.Presets)) {
		rows = append(rows, []string{"preset", name + "=" + p.Presets[name]})
	}
	if l := p.Lifetimes; l != nil {
		rows = append(rows, []string{"lifetimes", fmt.Sprintf("max-age=%d s-maxage=%d stale-while-revalidate=%d stale-if-error=%d s",
			l.MaxAge, l.SharedMaxAge, l.StaleWhileRevalidate, l.StaleIfError)})
	}
	for _, o := range p.Origins {
		rows = append(rows, []string{"origin", o})
	}
	if p.ClientHints {
		rows = append(rows, []string{"hints", "density, width and quality by client hints"})
	}
	return printRows(out, nil, append(rows, []string{"created", moment(p.Created)}, []string{"state", p.State}, []string{"revision", fmt.Sprint(p.Revision)}))
}

func productsDeleteCommand() *cobra.Command {
	var r remote
	var cond client.Condition
	cmd := &cobra.Command{
		Use:               "delete PRODUCT",
		Short:             "Delete a product that owns no assets and has no links",
		Example:           "  assetmatrix products delete shop",
		Args:              takes(1, 1),
		ValidArgsFunction: completeProducts(&r, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Done, error) {
				return c.DeleteProduct(ctx, args[0], cond)
			}, func(out io.Writer, done client.Done) error {
				_, err := fmt.Fprintf(out, "product %s is deleted, at revision %d\n", args[0], done.Revision)
				return err
			})
		},
	}
	r.writeFlags(cmd)
	ifStateFlag(cmd, &cond.State)
	return cmd
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
		Use:     "version",
		Short:   "Print the version",
		Example: "  assetmatrix version --json",
		Args:    takes(0, 0),
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
