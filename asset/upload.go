package asset

import "io"

// An Upload is what a client sends to become a version.
type Upload struct {
	// Product owns the asset; Name is the product's name for it, decoded.
	Product, Name string
	Body          io.Reader
	// Size is the number of bytes that Body is said to have, -1 when that is not known.
	Size int64
	// MediaType is the declared type, with its parameters; "" when none is.
	MediaType string
	// IfVersion demands that this is the current version.
	IfVersion *int
	// CreateOnly demands that the name is free.
	CreateOnly bool
	// Digest demands that the bytes have it.
	Digest *Digest
	// Status is what the asset is to be: ACTIVE, or PENDING until somebody makes it ACTIVE. "" leaves an asset as it is,
	// and makes a new one ACTIVE.
	Status Status
}

// A Receipt says what became of an upload. The doc tags are what /openapi.json shows.
type Receipt struct {
	ID      string `json:"id" doc:"of the asset"`
	Product string `json:"product"`
	Name    string `json:"name"`
	Version int    `json:"version"`
	Digest  Digest `json:"digest" doc:"SHA-256, hexadecimal"`
	Size    int64  `json:"size" doc:"bytes"`
	// MediaType is the type that was found, or the declared one where looking cannot tell.
	MediaType string `json:"type"`
	// Width and Height are those of a picture as a viewer sees it.
	Width  int `json:"width,omitempty" doc:"px"`
	Height int `json:"height,omitempty" doc:"px"`
	// Revision is that of the matrix in which the version is visible.
	Revision uint64 `json:"revision" doc:"of the matrix in which the version is visible"`
	// Created: the upload made the asset.
	Created bool `json:"created" doc:"the upload made the asset"`
	// Unchanged: the bytes are those of the current version, and no new one was made.
	Unchanged bool `json:"unchanged" doc:"the bytes are those of the current version, and no new one was made"`
}
