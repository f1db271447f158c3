package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/resolve"
)

func urlCommand() *cobra.Command {
	var base string
	cmd := &cobra.Command{
		Use:     "url PRODUCT/NAME [OPTIONS]",
		Short:   "Spell the delivery URL of an asset in canonical form",
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
