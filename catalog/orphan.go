package catalog

import (
	"iter"
	"time"

	"github.com/assetmatrix/assetmatrix/asset"
)

// An Orphan is an original that no version uses any more. Its bytes are deleted in three steps, each of which can be
// repeated after a crash: it is condemned, deleted from its providers, and forgotten. While it is condemned no version
// may use it, so an upload of the same bytes waits and stores them again; an upload that came first keeps it from being
// condemned.
type Orphan struct {
	Digest asset.Digest `json:"digest"`
	// Since is when the last version that used it went.
	Since     time.Time `json:"since"`
	Providers []string  `json:"providers,omitempty"`
	Size      int64     `json:"size"`
	// Condemned: it is being deleted.
	Condemned bool `json:"condemned,omitempty"`
}

// Orphans returns the originals that no version uses and that have not been forgotten, by digest.
func (v *View) Orphans() iter.Seq[Orphan] {
	return func(yield func(Orphan) bool) {
		v.orphans.Scan(func(_ string, o Orphan) bool { return yield(o) })
	}
}

// Orphan returns the original as an orphan, when it is one.
func (v *View) Orphan(original asset.Digest) (Orphan, bool) {
	return v.orphans.Get(string(original[:]))
}

// checkCondemn: an original that the matrix has never heard of (a process was killed between storing and recording it) may
// be condemned as well.
func (v *View) checkCondemn(d asset.Digest) error {
	if n := v.References(d); n > 0 {
		return conflict("/condemn_original", "original %s is used by %d versions", d, n)
	}
	return nil
}

func (v *View) checkForget(d asset.Digest) error {
	if o, ok := v.Orphan(d); !ok || !o.Condemned {
		return conflict("/forget_original", "original %s is not condemned", d)
	}
	return nil
}

// checkOriginals refuses versions of originals that are being deleted.
func (v *View) checkOriginals(versions []asset.Version) error {
	if v.orphans.Len() == 0 {
		return nil
	}
	for i := range versions {
		if o, ok := v.Orphan(versions[i].Digest); ok && o.Condemned {
			return &asset.Fault{Kind: asset.ErrUnavailable, Part: "/digest", Detail: "the original is being deleted at this moment", Allowed: "the same upload again in a second"}
		}
	}
	return nil
}

func (v *View) condemn(d asset.Digest) {
	o, ok := v.Orphan(d)
	if !ok {
		o = Orphan{Digest: d, Since: v.committing}
	}
	o.Condemned = true
	v.orphans.Set(string(d[:]), o)
}

// adopt and orphan keep the orphans in step with the versions.
func (v *View) adopt(d asset.Digest) {
	if v.orphans.Len() > 0 {
		v.orphans.Delete(string(d[:]))
	}
}

func (v *View) orphan(version *asset.Version) {
	if v.References(version.Digest) == 0 {
		v.orphans.Set(string(version.Digest[:]), Orphan{Digest: version.Digest, Since: v.committing, Providers: version.Providers, Size: version.Size})
	}
}
