package asset

import (
	"fmt"
	"strings"
)

// Bounds of an asset's tags: all of them must fit into one header of an answer.
const (
	MaxTags     = 32
	maxTagBytes = 64
)

// CheckTag returns a [Fault] of kind [ErrInvalid] about part when tag cannot be an asset's tag: a CDN gets it in
// Surrogate-Key, which parts by spaces, and Cache-Tag, which parts by commas.
func CheckTag(part, tag string) error {
	if tag == "" || len(tag) > maxTagBytes || strings.ContainsFunc(tag, func(c rune) bool { return c <= ' ' || c == ',' || c >= 0x7f }) {
		return invalidPart(part, fmt.Sprintf("the tag %.80q cannot be used", tag), fmt.Sprintf("1–%d visible ASCII characters without commas", maxTagBytes))
	}
	return nil
}

// CheckTags returns a [Fault] of kind [ErrInvalid] about what below part cannot be an asset's tags.
func CheckTags(part string, tags []string) error {
	if len(tags) > MaxTags {
		return invalidPart(part, fmt.Sprintf("there are %d tags", len(tags)), fmt.Sprintf("up to %d", MaxTags))
	}
	seen := map[string]bool{}
	for i, tag := range tags {
		at := fmt.Sprintf("%s/%d", part, i)
		if err := CheckTag(at, tag); err != nil {
			return err
		}
		if seen[tag] {
			return invalidPart(at, fmt.Sprintf("the tag %q is given twice", tag), "each tag once")
		}
		seen[tag] = true
	}
	return nil
}
