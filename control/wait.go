package control

import (
	"context"
	"time"

	"github.com/assetmatrix/assetmatrix/control/client"
)

// A Writing is what the inputs of all writes have in common.
type Writing struct {
	Wait        string `query:"wait" enum:"edges" doc:"edges: the answer comes when all replicas show the write, or when the time is up; it says which do not"`
	WaitTimeout string `query:"wait_timeout" format:"duration" doc:"for how long, such as 5s; up to 1m"`
}

// Written is what the answers of all writes have in common.
type Written struct {
	Revision uint64 `header:"Asset-Revision" doc:"the revision of the matrix in which the write is visible"`
	// edges belong into the answer's body; nil when they were not asked for.
	edges *client.Edges
}

// written is the last step of every write, when the matrix of this server shows its revision. Replicas that are behind
// are no failure: the write holds.
func (s *Server) written(ctx context.Context, in Writing, revision uint64) (Written, error) {
	out := Written{Revision: revision}
	if in.Wait == "" {
		return out, nil
	}
	wait := s.config.RevisionWait
	if in.WaitTimeout != "" {
		wait, _ = time.ParseDuration(in.WaitTimeout) // guardQuery has read it
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	behind, err := s.deps.Matrix.AwaitReplicas(ctx, revision)
	out.edges = &client.Edges{Waited: err == nil || len(behind) > 0, Behind: append([]string{}, behind...)}
	return out, nil
}

// maxWait is the longest wait_timeout.
const maxWait = time.Minute

func isDuration(text string) bool {
	d, err := time.ParseDuration(text)
	return err == nil && d > 0 && d <= maxWait
}
