package bench

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/control/client"
)

// A want is what is asked of a subject: a file of the corpus as it is, or a rendition of it.
type want struct {
	file    string
	width   int // px; 0: the file as it is
	format  asset.Format
	quality int // 1–100
}

func (w want) String() string {
	if w.width == 0 {
		return w.file
	}
	return fmt.Sprintf("%s at %d px as %s", w.file, w.width, w.format)
}

// errNotOffered says that a grammar has no words for what is wanted.
var errNotOffered = errors.New("it does not offer that")

// A grammar spells a want as a path with its query. source is the URL at which a subject that has no store of its own finds the file.
type grammar func(source string, w want) (string, error)

// grammars are the servers whose URLs are known. What each is asked for is the same: inside the width, in the format, at
// the quality, without metadata where that can be said.
var grammars = map[string]grammar{
	"imgproxy": imgproxyPath,
	"imagor":   func(source string, w want) (string, error) { return thumborPath(source, w, "filters:raw()/") },
	"thumbor":  func(source string, w want) (string, error) { return thumborPath(source, w, "") },
	"weserv":   weservPath,
	"nginx":    filePath,
	"varnish":  filePath,
}

// imgproxyPath is https://docs.imgproxy.net/usage/processing with an unsigned URL.
func imgproxyPath(source string, w want) (string, error) {
	if w.width == 0 {
		return "/insecure/raw:1/plain/" + plainSource(source), nil
	}
	return fmt.Sprintf("/insecure/rs:fit:%d:0/q:%d/plain/%s@%s", w.width, w.quality, plainSource(source), extension(w.format)), nil
}

// plainSource escapes a URL so that imgproxy finds no format behind an @ in it.
func plainSource(source string) string { return strings.ReplaceAll(url.PathEscape(source), "@", "%40") }

// thumborPath is https://thumbor.readthedocs.io/en/latest/usage.html with an unsafe URL; imagor's is the same and has a word
// for the file as it is.
func thumborPath(source string, w want, raw string) (string, error) {
	if w.width == 0 {
		if raw == "" {
			return "", errNotOffered
		}
		return "/unsafe/" + raw + url.PathEscape(source), nil
	}
	return fmt.Sprintf("/unsafe/%dx0/filters:format(%s):quality(%d):no_upscale()/%s", w.width, w.format, w.quality, url.PathEscape(source)), nil
}

// weservPath is https://images.weserv.nl/docs.
func weservPath(source string, w want) (string, error) {
	if w.width == 0 {
		return "", errNotOffered
	}
	if w.format == asset.AVIF {
		return "", errNotOffered
	}
	q := url.Values{"url": {source}, "w": {strconv.Itoa(w.width)}, "q": {strconv.Itoa(w.quality)}, "output": {extension(w.format)}, "we": {""}}
	return "/?" + q.Encode(), nil
}

// filePath is that of a server of files, or of a cache before the origin.
func filePath(_ string, w want) (string, error) {
	if w.width > 0 {
		return "", errNotOffered
	}
	return "/" + client.EscapeName(w.file), nil
}

func extension(f asset.Format) string {
	if f == asset.JPEG {
		return "jpg"
	}
	return f.String()
}

// PeerNames are the grammars that are built in.
func PeerNames() []string { return slices.Sorted(maps.Keys(grammars)) }

// A Peer is a rival, or another server of one's own, to which the program is compared.
type Peer struct {
	// Name is that of its grammar; what stands behind a hyphen tells two of the same grammar apart.
	Name string
	// URL is under which the paths of its grammar stand.
	URL string
}

var peerName = regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)*$`)

// ParsePeer reads NAME=BASEURL. Its errors say what would be right.
func ParsePeer(text string) (Peer, error) {
	name, base, ok := strings.Cut(text, "=")
	if !ok {
		return Peer{}, fmt.Errorf("%q is no peer; give NAME=BASEURL, such as imgproxy=http://127.0.0.1:8081", text)
	}
	kind, _, _ := strings.Cut(name, "-")
	if _, ok := grammars[kind]; !ok {
		known := strings.Join(PeerNames(), ", ")
		return Peer{}, fmt.Errorf("there is no grammar for a peer %q; there are %s, and each of them with something behind it, such as nginx-tuned", name, known)
	}
	if !peerName.MatchString(name) {
		return Peer{}, fmt.Errorf("a peer's name is a part of figures' names: what stands behind %s is made of a hyphen and letters in lower case, digits and hyphens, not %q", kind, name)
	}
	base, err := ParseBase(base)
	if err != nil {
		return Peer{}, fmt.Errorf("the peer %s: %w", name, err)
	}
	return Peer{Name: name, URL: base}, nil
}

// grammar is how the peer's URLs are spelled.
func (p Peer) grammar() grammar {
	kind, _, _ := strings.Cut(p.Name, "-")
	return grammars[kind]
}

// ParseBase returns a URL under which paths can be put. Its errors say what would be right.
func ParseBase(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q is no base URL; give one such as http://127.0.0.1:8080 (TLS is not measured)", text)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}
