package control

import (
	"context"
)

// A Writing is what the inputs of all writes have in common.
type Writing struct{}

// Written is what the answers of all writes have in common.
type Written struct {
	Revision uint64 `header:"Asset-Revision" doc:"the revision of the matrix in which the write is visible"`
}

// written is the last step of every write, when the matrix of this server shows its revision.
func (s *Server) written(_ context.Context, _ Writing, revision uint64) (Written, error) {
	return Written{revision}, nil
}
