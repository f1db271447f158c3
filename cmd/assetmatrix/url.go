package main

import (
	"strings"

	"github.com/assetmatrix/assetmatrix/control/client"
	"github.com/assetmatrix/assetmatrix/resolve"
)

// deliveryURL spells a delivery URL, and fails where the front door would refuse it.
func deliveryURL(base, target, options string) (string, error) {
	product, name, err := splitTarget(target)
	if err != nil {
		return "", err
	}
	path := "/" + product + "/" + options + "/" + client.EscapeName(name)
	if _, err := resolve.Parse(path, ""); err != nil {
		return "", usageError{err}
	}
	return strings.TrimRight(base, "/") + path, nil
}
