package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
)

// completeTargets offers, for each of the first n arguments, the server's products, and behind a slash the names that the
// product has; files for the arguments after those. A server that does not answer at once offers nothing.
func completeTargets(r *remote, n int) cobra.CompletionFunc {
	return complete(r, n, func(ctx context.Context, c *client.Client, typed string) ([]string, cobra.ShellCompDirective) {
		product, name, behind := strings.Cut(typed, "/")
		if !behind {
			return productsWith(ctx, c, "/"), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		}
		page, err := c.List(ctx, product, client.ListOptions{Prefix: name})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, a := range page.Assets {
			names = append(names, product+"/"+a.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

// completeProducts offers, for each of the first n arguments, the server's products.
func completeProducts(r *remote, n int) cobra.CompletionFunc {
	return complete(r, n, func(ctx context.Context, c *client.Client, _ string) ([]string, cobra.ShellCompDirective) {
		return productsWith(ctx, c, ""), cobra.ShellCompDirectiveNoFileComp
	})
}

func productsWith(ctx context.Context, c *client.Client, behind string) (names []string) {
	all, err := c.Products(ctx)
	if err != nil {
		return nil
	}
	for _, p := range all.Products {
		names = append(names, p.Name+behind)
	}
	return names
}

func complete(r *remote, n int, offer func(ctx context.Context, c *client.Client, typed string) ([]string, cobra.ShellCompDirective)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= n {
			return nil, cobra.ShellCompDirectiveDefault
		}
		c, err := r.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		offers, directive := offer(ctx, c, typed)
		var matching []cobra.Completion
		for _, o := range offers {
			if strings.HasPrefix(o, typed) {
				matching = append(matching, o)
			}
		}
		return matching, directive
	}
}
