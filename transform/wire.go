package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/assetmatrix/assetmatrix/asset"
)

// maxMessage bounds a message in bytes; bytes of pictures never travel in one.
const maxMessage = 16 << 10

// A request asks a worker for one render or, with Probe, for a description. Two descriptors go with a render, and one for each
// of its overlays: the original, open for reading, an empty file for the result, and the overlays' originals. One goes with a
// probe: the original.
type request struct {
	Probe     bool          `json:"probe,omitempty"`
	MediaType string        `json:"type"`
	Size      int64         `json:"size"` // of the original, in bytes
	MaxPixels int64         `json:"max_pixels"`
	Variant   asset.Variant `json:"variant,omitzero"`
	Whole     asset.Size    `json:"whole,omitzero"`     // of the original as stored, when its bytes are a reduction of it
	Overlays  []overlay     `json:"overlays,omitempty"` // of the groups of Variant that have one, in their order
}

// An overlay is the original of a watermark.
type overlay struct {
	MediaType string `json:"type"`
	Size      int64  `json:"size"` // in bytes
}

// name is what metrics and logs call the request.
func (r *request) name() string {
	if r.Probe {
		return "probe"
	}
	return r.Variant.Format.String()
}

// A reply is what a worker says: hello with its Types and Formats once, then for each request Taken, and then the result.
type reply struct {
	Types   []string `json:"types,omitempty"`   // the media types that its libvips loads
	Formats []string `json:"formats,omitempty"` // and those that it writes, by name
	Taken   bool     `json:"taken,omitempty"`

	Size    int64          `json:"size,omitempty"` // of the result, in bytes
	Width   int            `json:"width,omitempty"`
	Height  int            `json:"height,omitempty"`
	Quality int            `json:"quality,omitempty"` // that was chosen, with quality=auto or max-bytes
	Picture *asset.Picture `json:"picture,omitempty"`

	Code    string `json:"code,omitempty"` // of outcomes; "" is success
	Detail  string `json:"detail,omitempty"`
	Part    string `json:"part,omitempty"`
	Allowed string `json:"allowed,omitempty"`
	Library string `json:"library,omitempty"` // what the library said: for the log alone
}

// outcomes maps the code of a refusal to its sentinel. Codes are what the metric shows, too.
var outcomes = map[string]error{
	"invalid":     asset.ErrInvalid,
	"too_large":   asset.ErrTooLarge,
	"undecodable": asset.ErrUndecodable,
}

// refusal turns an error of a worker's render into a reply. What is no Fault is the library's word on the pixels: the
// client learns only that they cannot be read.
func refusal(mediaType string, err error) reply {
	fault := damaged(mediaType)
	r := reply{Library: head(err.Error(), 1024)}
	errors.As(err, &fault)
	for code, kind := range outcomes {
		if fault.Kind == kind {
			r.Code = code
		}
	}
	r.Detail, r.Part, r.Allowed = fault.Detail, fault.Part, fault.Allowed
	return r
}

func damaged(mediaType string) *asset.Fault {
	return &asset.Fault{Kind: asset.ErrUndecodable, Detail: fmt.Sprintf("the %s is damaged or incomplete", mediaType)}
}

// err turns a refusal back into the Fault it was made from; nil for a result. A code that we do not know makes the
// reply malformed.
func (r *reply) err() error {
	if r.Code == "" {
		return nil
	}
	kind, ok := outcomes[r.Code]
	if !ok {
		return errMalformed
	}
	return &asset.Fault{Kind: kind, Detail: r.Detail, Part: r.Part, Allowed: r.Allowed}
}

var errMalformed = errors.New("malformed reply")

func head(s string, n int) string { return s[:min(len(s), n)] }

// socketpair returns the two ends of a unix SOCK_SEQPACKET connection: ours, and the file for the worker.
func socketpair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "server"), os.NewFile(uintptr(fds[1]), "worker")
	defer func() { _ = ours.Close() }()
	conn, err := unixConn(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

func unixConn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("%w: descriptor is no unix socket", asset.ErrInvalid)
	}
	return conn, nil
}

// send writes one message with descriptors.
func send(c *net.UnixConn, message any, files ...*os.File) error {
	b, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	if _, _, err = c.WriteMsgUnix(b, rights, nil); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// receiveReply reads one reply. Descriptors that a worker sends are dropped by the kernel.
func receiveReply(c *net.UnixConn) (reply, error) {
	var buf [maxMessage]byte
	var r reply
	n, err := c.Read(buf[:])
	if err != nil {
		return r, fmt.Errorf("receive: %w", err)
	}
	if err := json.Unmarshal(buf[:n], &r); err != nil {
		return r, errMalformed
	}
	return r, nil
}

// receiveRequest reads one request and its descriptors, which the caller closes. It returns io.EOF when the server
// has gone.
func receiveRequest(c *net.UnixConn) (r request, files []*os.File, err error) {
	var buf [maxMessage]byte
	oob := make([]byte, unix.CmsgSpace((2+asset.MaxGroups)*4))
	n, oobn, _, _, err := c.ReadMsgUnix(buf[:], oob)
	if err != nil {
		return r, nil, err
	}
	if n == 0 {
		return r, nil, io.EOF
	}
	if files, err = rightsOf(oob[:oobn]); err != nil {
		return r, nil, err
	}
	if err := json.Unmarshal(buf[:n], &r); err != nil {
		closeAll(files)
		return r, nil, fmt.Errorf("decode request: %w", err)
	}
	return r, files, nil
}

func rightsOf(oob []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, fmt.Errorf("descriptors: %w", err)
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "picture"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
