package asset

import "time"

// A Garbage is an original that no version uses any more, as a collection of garbage found it. The doc tags are what
// /openapi.json shows.
type Garbage struct {
	Digest Digest `json:"digest" doc:"SHA-256, hexadecimal"`
	Size   int64  `json:"size" doc:"bytes"`
	// Since is when the last version that used it went.
	Since     time.Time `json:"since" doc:"when the last version that used it went"`
	Providers []string  `json:"providers,omitempty" doc:"where it is stored"`
	// Deleted: the collection has deleted it; a dry run would have.
	Deleted bool `json:"deleted" doc:"it was deleted"`
}
