package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
)

// A Token lets whoever presents it do some things with some products.
type Token struct {
	// Name is what the token is called in answers and logs.
	Name string `yaml:"name"`
	// Token is the secret itself, and TokenFile a file that holds nothing else; one of the two is given.
	Token     Secret `yaml:"token"`
	TokenFile string `yaml:"token_file"`
	// Products are the names of products, or "*" alone for all of them and for what belongs to none.
	Products []string `yaml:"products"`
	// Verbs are what may be done. None includes another.
	Verbs []Verb `yaml:"verbs"`
}

// A Secret is a text that shows itself to nobody who prints it.
type Secret string

const redacted = "[redacted]"

// String, GoString, LogValue, MarshalYAML and MarshalText return a mark in the secret's place.
func (Secret) String() string { return redacted }

// GoString is what %#v prints.
func (Secret) GoString() string { return redacted }

// LogValue is what package slog logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalYAML is what YAML shows.
func (Secret) MarshalYAML() (any, error) { return redacted, nil }

// MarshalText is what JSON shows.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// A Verb is a kind of things that a token lets one do.
type Verb string

// The verbs.
const (
	// Read is everything that changes nothing, except for what Replicate and Admin let one read.
	Read Verb = "read"
	// Write is uploads, changes of assets, and links.
	Write Verb = "write"
	// Delete is taking names away.
	Delete Verb = "delete"
	// Purge is making renditions unreachable.
	Purge Verb = "purge"
	// Admin is defining and deleting products, and reading the backup.
	Admin Verb = "admin"
	// Replicate is reading snapshots and originals, as edges do.
	Replicate Verb = "replicate"
)

var verbs = []Verb{Read, Write, Delete, Purge, Admin, Replicate}

// minTokenBytes is the shortest token: guessing one of 16 random bytes is hopeless.
const minTokenBytes = 16

// everyProduct is what a token says for all products.
const everyProduct = "*"

// validateTokens reports the first token that cannot be used, without showing it.
func validateTokens(tokens []Token) error {
	names, secrets := map[string]bool{}, map[Secret]bool{}
	for i, t := range tokens {
		at := fmt.Sprintf("tokens[%d].", i)
		if err := t.validate(at); err != nil {
			return err
		}
		if names[t.Name] {
			return asset.BadKey(at+"name", fmt.Sprintf("%q a second time", t.Name), "a name for each token")
		}
		if t.Token != "" && secrets[t.Token] {
			return asset.BadKey(at+"token", "the same as one before", "a secret for each token")
		}
		names[t.Name], secrets[t.Token] = true, true
	}
	return nil
}

func (t Token) validate(at string) error {
	switch {
	case t.Name == "":
		return asset.BadKey(at+"name", "empty", "a name for answers and logs")
	case (t.Token == "") == (t.TokenFile == ""):
		return asset.BadKey(at+"token", "given beside token_file, or neither is", "token or token_file")
	case t.Token != "":
		if err := checkSecret(at+"token", t.Token); err != nil {
			return err
		}
	}
	if len(t.Verbs) == 0 {
		return asset.BadKey(at+"verbs", "empty", fmt.Sprint(verbs))
	}
	for _, v := range t.Verbs {
		if !slices.Contains(verbs, v) {
			return asset.BadKey(at+"verbs", fmt.Sprintf("%q", v), fmt.Sprint(verbs))
		}
	}
	return t.validateProducts(at + "products")
}

func (t Token) validateProducts(key string) error {
	const allowed = `names of products, or "*" alone`
	if len(t.Products) == 0 {
		return asset.BadKey(key, "empty", allowed)
	}
	for _, p := range t.Products {
		if all := p == everyProduct; all && len(t.Products) > 1 || !all && !asset.ValidProductName(p) {
			return asset.BadKey(key, fmt.Sprintf("%q", t.Products), allowed)
		}
	}
	return nil
}

// checkSecret refuses what is too short, and what cannot stand in a header (RFC 6750 §2.1).
func checkSecret(key string, s Secret) error {
	outside := func(c rune) bool { return c <= ' ' || c >= 0x7f }
	if len(s) < minTokenBytes || strings.ContainsFunc(string(s), outside) {
		return asset.BadKey(key, "a token that cannot be used", fmt.Sprintf("at least %d visible ASCII characters, such as those of openssl rand -hex 32", minTokenBytes))
	}
	return nil
}

// A grant is a token as it is compared: of its secret only the hash is kept.
type grant struct {
	name     string
	hash     [sha256.Size]byte
	products []string
	verbs    []Verb
}

// grantsOf reads the tokens' files.
func grantsOf(tokens []Token) ([]grant, error) {
	var grants []grant
	for i, t := range tokens {
		secret := t.Token
		if t.TokenFile != "" {
			text, err := os.ReadFile(t.TokenFile)
			if err != nil {
				return nil, fmt.Errorf("tokens[%d].token_file: %w", i, err)
			}
			secret = Secret(strings.TrimSpace(string(text)))
			if err := checkSecret(fmt.Sprintf("tokens[%d].token_file", i), secret); err != nil {
				return nil, err
			}
		}
		grants = append(grants, grant{t.Name, sha256.Sum256([]byte(secret)), t.Products, t.Verbs})
	}
	return grants, nil
}

// allows reports whether the grant has the verb for the product: for all of them when that is "*", for any one when it
// is "".
func (g *grant) allows(v Verb, product string) bool {
	return slices.Contains(g.verbs, v) && (product == "" || slices.Contains(g.products, everyProduct) || slices.Contains(g.products, product))
}

// A bearer is who sent a request, as far as its token says.
type bearer struct {
	grant     *grant // nil: nobody that we know
	presented bool   // a token, known or not
}

type bearerKey struct{}

// identify puts the bearer into the request's context.
func (s *Server) identify(r *http.Request) *http.Request {
	if len(s.grants) == 0 {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), bearerKey{}, s.bearerOf(r)))
}

// bearerOf compares with every token, and in a time that does not depend on how much of one is right.
func (s *Server) bearerOf(r *http.Request) bearer {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return bearer{}
	}
	b := bearer{presented: true}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return b
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(token)))
	for i := range s.grants {
		if subtle.ConstantTimeCompare(hash[:], s.grants[i].hash[:]) == 1 {
			b.grant = &s.grants[i]
		}
	}
	return b
}

// allow fails unless the caller may do that with the product; "*" is all products and what belongs to none, "" is any
// one of them. Where no token is configured everybody may do everything.
func (s *Server) allow(ctx context.Context, v Verb, product string) error {
	if len(s.grants) == 0 {
		return nil
	}
	b, _ := ctx.Value(bearerKey{}).(bearer)
	switch {
	case b.grant != nil && b.grant.allows(v, product):
		return nil
	case b.grant != nil:
		return fault(errScope, "Authorization", fmt.Sprintf("token %q has not the verb %s for %s", b.grant.name, v, spelledProduct(product)), "a token that has")
	case b.presented:
		return fault(errToken, "Authorization", "the token is not known", "Bearer and a token of this server")
	}
	return fault(errNoToken, "Authorization", "the request has no token", "Bearer and a token of this server")
}

func spelledProduct(product string) string {
	switch product {
	case "":
		return "any product"
	case everyProduct:
		return "all products (*)"
	}
	return fmt.Sprintf("product %q", product)
}

// sees reports whether the caller may read the product.
func (s *Server) sees(ctx context.Context, product string) bool {
	return s.allow(ctx, Read, product) == nil
}
