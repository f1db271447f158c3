package transform

import (
	"errors"
	"fmt"
	"image"
	"io"
	"maps"
	"net"
	"os"
	"runtime/debug"
	"slices"

	"github.com/davidbyttow/govips/v2/vips"
	"golang.org/x/sys/unix"
)

// Work is the main function of a worker process: it serves the requests that come over socket, one after the other,
// and returns nil when the server has closed its end. Of a server, it is the only place where libvips is started.
func Work(socket *os.File) error {
	conn, err := unixConn(socket)
	if err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	defer func() { _ = conn.Close() }()
	lettering = &library{dir: os.Getenv(fontsVariable)}
	if err := startVips(); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	if err := send(conn, reply{Types: loadable(), Formats: encodable()}); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	for {
		if err := workOnce(conn); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("worker: %w", err)
		}
	}
}

func workOnce(conn *net.UnixConn) error {
	r, files, err := receiveRequest(conn)
	if err != nil {
		return err
	}
	defer closeAll(files)
	if err := send(conn, reply{Taken: true}); err != nil {
		return err
	}
	return send(conn, serveRequest(&r, files))
}

// serveRequest never panics: what Go can recover from becomes a refusal, and C's crashes are the server's to see.
func serveRequest(r *request, files []*os.File) (answer reply) {
	defer func() {
		if p := recover(); p != nil {
			answer = refusal(r.MediaType, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	want := 2 + len(r.Overlays)
	if r.Probe {
		want = 1
	}
	if len(files) != want {
		return refusal(r.MediaType, fmt.Errorf("%d descriptors, not %d", len(files), want))
	}
	b, err := mapInput(files[0], r.Size)
	if err != nil {
		return refusal(r.MediaType, err)
	}
	defer func() { _ = unix.Munmap(b) }()
	if r.Probe {
		answer, err = probePicture(r, b)
	} else {
		answer, err = renderTo(r, b, files[1], files[2:])
	}
	if err != nil {
		return refusal(r.MediaType, err)
	}
	return answer
}

// mapInput maps the original for reading, so that it is never copied. Reading beyond a file's end would kill us.
func mapInput(f *os.File, size int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat original: %w", err)
	}
	if size <= 0 || info.Size() < size {
		return nil, fmt.Errorf("the original has %d bytes, not %d", info.Size(), size)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map original: %w", err)
	}
	return b, nil
}

func renderTo(r *request, b []byte, out *os.File, overlays []*os.File) (reply, error) {
	var over [][]byte
	for i, f := range overlays {
		o, err := mapInput(f, r.Overlays[i].Size)
		if err != nil {
			return reply{}, err
		}
		defer func() { _ = unix.Munmap(o) }()
		over = append(over, o)
	}
	x, err := render(r, b, over)
	if err != nil {
		return reply{}, err
	}
	if _, err := out.WriteAt(x.encoded, 0); err != nil {
		return reply{}, fmt.Errorf("write rendition: %w", err)
	}
	return reply{Size: int64(len(x.encoded)), Width: x.result.Width, Height: x.result.Height, Quality: x.quality}, nil
}

// startVips starts libvips with one thread and no cache: a worker sees each picture once.
func startVips() error {
	vips.LoggingSettings(func(domain string, _ vips.LogLevel, message string) {
		fmt.Fprintln(os.Stderr, domain, message)
	}, vips.LogLevelCritical)
	return vips.Startup(&vips.Config{ConcurrencyLevel: 1})
}

// loaders names the libvips loader of each media type in the allow-list.
var loaders = map[string]vips.ImageType{
	jpegType: vips.ImageTypeJPEG,
	pngType:  vips.ImageTypePNG,
	gifType:  vips.ImageTypeGIF,
	webpType: vips.ImageTypeWEBP,
	tiffType: vips.ImageTypeTIFF,
	avifType: vips.ImageTypeAVIF,
	heicType: vips.ImageTypeHEIF,
	heifType: vips.ImageTypeHEIF,
	pdfType:  vips.ImageTypePDF,
	jxlType:  vips.ImageTypeJXL,
	svgType:  vips.ImageTypeSVG,
}

// decoders decode in Go what libvips has no loader for but ImageMagick's, which is not used.
var decoders = map[string]func(in *scanner, b []byte) (*image.NRGBA, error){
	bmpType: decodeBMP,
	icoType: decodeICO,
}

// loadable returns the media types that this libvips has a loader for, and those that need none.
func loadable() []string {
	types := slices.AppendSeq(slices.Collect(maps.Keys(decoders)), maps.Keys(loaders))
	types = slices.DeleteFunc(types, func(t string) bool {
		return decoders[t] == nil && !vips.IsTypeSupported(loaders[t])
	})
	slices.Sort(types)
	return types
}
