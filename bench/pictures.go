package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/davidbyttow/govips/v2/vips"

	"github.com/assetmatrix/assetmatrix/asset"
	"github.com/assetmatrix/assetmatrix/bench/corpus"
	"github.com/assetmatrix/assetmatrix/transform"
)

// maxPictures is how much is taken from a directory, in bytes: a run holds its corpus in memory.
const maxPictures = 2 << 30

const pictureTypes = "JPEG, PNG, WebP, AVIF, GIF or PDF files"

// loadPictures returns the pictures and documents in a directory and those below it, sorted by name. What their bytes
// say decides their type. Hidden files and directories are left out, and links to directories are not followed.
//
// Its errors say which file is to blame and what to do.
func loadPictures(ctx context.Context, dir string) ([]corpus.File, error) {
	names, err := pictureNames(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no picture in %s; give a directory with %s", dir, pictureTypes)
	}
	var files []corpus.File
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := asset.CheckName(name); err != nil {
			return nil, fmt.Errorf("%q cannot be an asset's name: %w; rename the file or take it out of the directory", name, err)
		}
		f, err := loadPicture(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		f.Name = name
		files = append(files, f)
	}
	return files, nil
}

// pictureNames lists the files of a directory.
func pictureNames(dir string) (names []string, err error) {
	if err := isDirectory(dir); err != nil {
		return nil, err
	}
	total, tree := int64(0), os.DirFS(dir) // which follows dir itself when it is a link
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch hidden := name != "." && strings.HasPrefix(d.Name(), "."); {
		case err != nil:
			return err
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden:
			return nil
		}
		info, err := fs.Stat(tree, name) // of what a link leads to
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the pictures in %s: %w", dir, err)
	}
	if total > maxPictures {
		return nil, fmt.Errorf("the files in %s have %d MiB, and a run takes at most %d MiB; give a directory with fewer", dir, total>>20, maxPictures>>20)
	}
	slices.Sort(names)
	return names, nil
}

func isDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s; give one with %s", dir, pictureTypes)
	case err != nil:
		return fmt.Errorf("read the pictures in %s: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s is a file; give the directory that holds the pictures", dir)
	}
	return nil
}

func loadPicture(path string) (corpus.File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return corpus.File{}, fmt.Errorf("read a picture: %w", err)
	}
	head, err := transform.Header(bytes.NewReader(data), int64(len(data)))
	if errors.Is(err, asset.ErrMediaType) {
		return corpus.File{}, fmt.Errorf("%s is no picture (%s); take it out of the directory", path, looksLike(data))
	}
	if err != nil {
		return corpus.File{}, fmt.Errorf("%s: %w; repair it or take it out of the directory", path, err)
	}
	f := corpus.File{Type: head.MediaType, Data: data}
	if f.Type == "application/pdf" {
		return f, nil
	}
	if f.Width, f.Height, err = shownSize(f); err == nil {
		err = whole(data)
	}
	if err != nil {
		return corpus.File{}, fmt.Errorf("%s: libvips cannot read the %s: %w; repair it or take it out of the directory", path, f.Type, err)
	}
	return f, nil
}

// looksLike names the type of what is no picture.
func looksLike(data []byte) string {
	if len(data) == 0 {
		return "it is empty"
	}
	mediaType, _, _ := mime.ParseMediaType(http.DetectContentType(data))
	return mediaType
}

// whole decodes a picture, as small as its format allows, and fails when something is missing of it.
func whole(data []byte) error {
	strictly := vips.NewImportParams()
	strictly.FailOnError.Set(true)
	p, err := vips.LoadThumbnailFromBuffer(data, 64, maxCoord, vips.InterestingNone, vips.SizeDown, strictly)
	if err != nil {
		return corpus.Plain(err)
	}
	defer p.Close()
	if _, err = p.ToBytes(); err != nil {
		return corpus.Plain(err)
	}
	return nil
}

// shownSize asks libvips, which reads the header only: [transform.Header] knows no orientation.
func shownSize(f corpus.File) (width, height int, err error) {
	if err := corpus.StartVips(); err != nil {
		return 0, 0, err
	}
	p, err := vips.NewImageFromBuffer(f.Data)
	if err != nil {
		return 0, 0, corpus.Plain(err)
	}
	defer p.Close()
	width, height = p.Width(), p.Height()
	byLibheif := f.Type == "image/avif" || strings.HasPrefix(f.Type, "image/hei") // turned already
	if quarter := p.Orientation() >= 5; quarter && !byLibheif {
		return height, width, nil
	}
	return width, height, nil
}

// pictures are those of the directory that was given, which are read once, or drawn ones.
func (r *run) pictures(ctx context.Context) (files []corpus.File, err error) {
	if r.Corpus == "" {
		return corpus.Set(ctx, r.Quick, 1, func(done, total int) { r.progress("drawing pictures", done, total) })
	}
	if r.loaded == nil {
		r.progress("reading pictures", 0, 1)
		if r.loaded, err = loadPictures(ctx, r.Corpus); err != nil && ctx.Err() == nil {
			return nil, askedWrongly("--corpus: %w", err)
		}
	}
	return r.loaded, err
}
