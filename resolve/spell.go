package resolve

import (
	"fmt"
)

// Spell returns the target's options as the segment of a path, without a version: canonical, but for what a preset stands
// in front of.
func (t *Target) Spell() string {
	switch {
	case t.Mode == ModeOriginal:
		return "original"
	case t.Mode == ModeInfo:
		return "info"
	case t.Preset == "":
		return t.Options.String()
	case t.overrides == "" || t.overrides[0] == ';':
		return t.Preset + t.overrides
	}
	return t.Preset + "," + t.overrides
}

// SpellPinned returns the options, as the segment of a path, of the URL that always means what t means now: it names the
// version that was resolved, and what the preset said. A format that is negotiated stays so.
func (t *Target) SpellPinned(res *Resolution) (string, error) {
	if t.Mode != ModeDeliver {
		return fmt.Sprintf("%s,v=%d", t.Spell(), res.Entry.Number), nil
	}
	v, err := t.options(res.Product)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("v=%d,%s", res.Entry.Number, v.String()), nil
}
