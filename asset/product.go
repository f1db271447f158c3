package asset

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxLifetime is the longest cache lifetime, in seconds: a year, as RFC 2616 §14.21 had it and caches still take it.
const maxLifetime = 31_536_000

// Validate returns a [Fault] of kind [ErrInvalid] that names by a JSON pointer what cannot be used.
func (p *Product) Validate() error {
	if err := CheckProductName("/name", p.Name); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Presets)) {
		if err := validatePreset(name, p.Presets[name]); err != nil {
			return err
		}
	}
	for i, origin := range p.Origins {
		if !isOrigin(origin) {
			return invalidPart(fmt.Sprintf("/origins/%d", i), fmt.Sprintf("%q is no origin", origin), "scheme://host or scheme://host:port in lower case, or *")
		}
	}
	return p.Lifetimes.validate()
}

func validatePreset(name, options string) error {
	part := "/presets/" + EscapePointer(name)
	if !ValidPresetName(name) {
		return invalidPart(part, fmt.Sprintf("the preset's name %q cannot be used", name),
			"1–63 of a-z, 0-9 and -, not beginning with -, and neither original, info nor an option's name")
	}
	_, err := ParseVariant(options)
	if f, ok := errors.AsType[*Fault](err); ok {
		return invalidPart(part, fmt.Sprintf("the preset %q cannot be used: %s", name, f.Detail), f.Allowed)
	}
	return err
}

// EscapePointer spells a name as one segment of a JSON pointer (RFC 6901 §3).
func EscapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// ValidPresetName reports whether a product may call a preset so: like a product, and not by a word that means
// something else in a URL (original, info, an option's name).
func ValidPresetName(name string) bool {
	return ValidProductName(name) && name != "original" && name != "info" && !IsOption(name)
}

// isOrigin reports whether s is what a browser sends as Origin (RFC 6454 §6.2), or "*".
func isOrigin(s string) bool {
	if s == "*" {
		return true
	}
	u, err := url.Parse(s)
	if err != nil || s != u.Scheme+"://"+u.Host || s != strings.ToLower(s) || strings.HasSuffix(s, ":") {
		return false
	}
	defaultPort, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	return ok && isHost(u.Hostname()) && u.Port() != defaultPort && isPort(u.Port())
}

// isHost reports whether s is an address, or a name in letters, digits, "-" and "." (an international one in its xn--
// form).
func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// isPort reports whether s is empty, or a port that exists.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil
}

func (l Lifetimes) validate() error {
	for _, f := range []struct {
		key     string
		seconds int
	}{
		{"max_age", l.MaxAge},
		{"s_maxage", l.SharedMaxAge},
		{"stale_while_revalidate", l.StaleWhileRevalidate},
		{"stale_if_error", l.StaleIfError},
	} {
		if f.seconds < 0 || f.seconds > maxLifetime {
			return invalidPart("/lifetimes/"+f.key, fmt.Sprintf("%d seconds", f.seconds), fmt.Sprintf("0–%d seconds", maxLifetime))
		}
	}
	return nil
}

func invalidPart(part, detail, allowed string) error {
	return &Fault{Kind: ErrInvalid, Part: part, Detail: detail, Allowed: allowed}
}
