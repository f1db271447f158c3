package control

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
)

// uploadOf reads the head of an upload.
func uploadOf(in *uploadInput) (asset.Upload, error) {
	r := in.request
	u := asset.Upload{Product: in.Product, Body: r.Body, Size: r.ContentLength, MediaType: r.Header.Get("Content-Type"), Status: asset.Status(in.Status)}
	for _, read := range []func(*http.Request, *asset.Upload) error{
		readName, refuseCodings, readIfMatch, readIfNoneMatch, readDigests,
	} {
		if err := read(r, &u); err != nil {
			return asset.Upload{}, err
		}
	}
	return u, nil
}

func readName(r *http.Request, u *asset.Upload) (err error) {
	u.Name, err = nameOf(r)
	return err
}

// refuseCodings refuses heads that make the body something else than the file's bytes, and conditions that cannot hold.
func refuseCodings(r *http.Request, _ *asset.Upload) error {
	if coding := header(r, "Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return fault(asset.ErrMediaType, "Content-Encoding", "the body is encoded", "the file's bytes as they are")
	}
	if header(r, "Content-Range") != "" { // RFC 9110 §14.5
		return fault(asset.ErrInvalid, "Content-Range", "the body is a part of a file", "the whole file")
	}
	if header(r, "If-Unmodified-Since") != "" {
		return fault(asset.ErrInvalid, "If-Unmodified-Since", "uploads are not compared by time", "If-Match with the current version in quotes")
	}
	return nil
}

// readIfMatch reads the version that must be current.
func readIfMatch(r *http.Request, u *asset.Upload) error {
	value := header(r, "If-Match")
	if value == "" {
		return nil
	}
	n, ok := versionIn(value)
	if !ok {
		return fault(asset.ErrInvalid, "If-Match", "this is no version", `the number of one version in quotes, such as "3"`)
	}
	u.IfVersion = &n
	return nil
}

// versionIn returns the version that is an entity tag.
func versionIn(value string) (n int, ok bool) {
	n, err := strconv.Atoi(strings.Trim(value, `"`))
	return n, err == nil && n >= 1 && etagOf(n) == value
}

func readIfNoneMatch(r *http.Request, u *asset.Upload) error {
	switch value := header(r, "If-None-Match"); {
	case value == "":
		return nil
	case value != "*":
		return fault(asset.ErrInvalid, "If-None-Match", "only whether the name is free can be demanded so", "*")
	case u.IfVersion != nil:
		return fault(asset.ErrInvalid, "If-None-Match", "a name cannot be free and have a version", "If-Match or If-None-Match, not both")
	}
	u.CreateOnly = true
	return nil
}

const (
	allowedDigests = "sha-256=:base64:"
	allowedDigest  = "sha-256=base64"
)

// readDigests reads what the bytes must hash to. As the body is not encoded, its content and its representation are
// the same (RFC 9530 §2, §3).
func readDigests(r *http.Request, u *asset.Upload) error {
	for _, h := range []struct{ name, mark, allowed string }{
		{"Repr-Digest", ":", allowedDigests}, {"Content-Digest", ":", allowedDigests}, {"Digest", "", allowedDigest},
	} {
		value := header(r, h.name)
		if value == "" {
			continue
		}
		d, ok := parseDigest(value, h.mark)
		if !ok {
			return fault(asset.ErrInvalid, h.name, "there is no SHA-256 in this", h.allowed)
		}
		if u.Digest != nil && *u.Digest != d {
			return fault(asset.ErrInvalid, h.name, "this is another digest than the one in a header before", "one digest")
		}
		u.Digest = &d
	}
	return nil
}

// parseDigest finds the SHA-256 in a list of algorithm=digest; others stand beside it and need not be understood. mark
// encloses a digest.
func parseDigest(list, mark string) (d asset.Digest, ok bool) {
	for member := range strings.SplitSeq(list, ",") {
		algorithm, value, _ := strings.Cut(strings.TrimSpace(member), "=")
		if !strings.EqualFold(algorithm, "sha-256") || len(value) < 2*len(mark) || !strings.HasPrefix(value, mark) || !strings.HasSuffix(value, mark) {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(value[len(mark) : len(value)-len(mark)])
		if err == nil && len(raw) == sha256.Size {
			return asset.Digest(raw), true
		}
	}
	return asset.Digest{}, false
}

// header returns a header's lines as the one list that they are (RFC 9110 §5.3).
func header(r *http.Request, name string) string {
	return strings.TrimSpace(strings.Join(r.Header.Values(name), ", "))
}
