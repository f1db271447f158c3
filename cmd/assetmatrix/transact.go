package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
)

func transactCommand() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "transact FILE",
		Short: "Do several writes, all of them or none, at one revision",
		Long: "Do several writes, all of them or none, at one revision. FILE (- is standard input) is the body of POST /v1/transactions,\n" +
			"which /openapi.json describes: {\"operations\": [{\"op\": …}, …]}.",
		Example: `  assetmatrix transact release.json
  echo '{"operations": [
    {"op": "patch_asset", "product": "shop", "name": "hero.jpg", "current": 2},
    {"op": "patch_asset", "product": "shop", "name": "hero-small.jpg", "current": 2}
  ]}' | assetmatrix transact - --wait edges`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readAll(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return ask(cmd, r, func(ctx context.Context, c *client.Client) (client.Transacted, error) {
				return c.TransactText(ctx, text)
			}, showTransacted)
		},
	}
	r.writeFlags(cmd)
	return cmd
}

// readAll reads a file, or in for "-".
func readAll(path string, in io.Reader) ([]byte, error) {
	body, _, err := open(path, in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	return io.ReadAll(body)
}

func showTransacted(out io.Writer, t client.Transacted) error {
	var rows [][]string
	for _, r := range t.Results {
		version := ""
		if r.Version != 0 {
			version = fmt.Sprint(r.Version)
		}
		rows = append(rows, []string{r.Op, r.Product, r.Name, r.Asset, version, became(r)})
	}
	if err := printRows(out, []string{"OPERATION", "PRODUCT", "NAME", "ASSET", "VERSION", ""}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nall done at revision %d\n", t.Revision)
	return err
}

func became(r client.Result) string {
	switch {
	case r.Created:
		return "created"
	case r.Unchanged:
		return "unchanged"
	case r.AssetDeleted:
		return "asset deleted"
	}
	return "done"
}
