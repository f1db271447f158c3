package ingest

import (
	"archive/zip"
	"bytes"
	"testing"

	"github.com/assetmatrix/assetmatrix/asset"
)

func TestSettleType(t *testing.T) {
	const (
		text  = "just words, and more of them\n"
		html  = "<!DOCTYPE html><html><body>hi</body></html>"
		xml   = `<?xml version="1.0"?><root/>`
		svg   = `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>`
		pdf   = "%PDF-1.7\n"
		noise = "\x00\x01\x02\x03 nothing known \xff"
		gif   = "GIF89a\x01\x00\x01\x00\x00\x00\x00;"
	)
	zipped, docx := archive(t, "a.txt"), archive(t, "[Content_Types].xml", "_rels/.rels", "word/document.xml")

	// Nothing is declared: what is found.
	settles(t, "", text, "text/plain; charset=utf-8")
	settles(t, "", html, "text/html; charset=utf-8")
	settles(t, "", xml, "application/xml; charset=utf-8")
	settles(t, "", `{"a": [1, 2]}`, "application/json")
	settles(t, "", svg, "image/svg+xml")
	settles(t, "", pdf, "application/pdf")
	settles(t, "", noise, "application/octet-stream")
	settles(t, "", zipped, "application/zip")
	settles(t, "", docx, "application/vnd.openxmlformats-officedocument.wordprocessingml.document")
	settles(t, "application/octet-stream", pdf, "application/pdf")
	settles(t, "application/x-www-form-urlencoded", pdf, "application/pdf")
	settles(t, "Application/Octet-Stream; x=y", pdf, "application/pdf")

	// One type by another name.
	settles(t, "application/x-pdf", pdf, "application/pdf")
	settles(t, "text/xml", xml, "application/xml; charset=utf-8")
	settles(t, "image/svg", svg, "image/svg+xml")
	settles(t, "application/javascript", text, "text/javascript")

	// Text is what it is said to be, with the charset that it is said to have.
	settles(t, "text/plain", text, "text/plain; charset=utf-8")
	settles(t, "text/plain; charset=ISO-8859-1", text, "text/plain; charset=iso-8859-1")
	settles(t, "text/css", text, "text/css")
	settles(t, "text/css; charset=utf-8; q=1", text, "text/css; charset=utf-8")
	settles(t, "text/markdown", text, "text/markdown")
	settles(t, "text/csv", text, "text/csv")
	settles(t, "text/csv", `{"a": 1}`, "text/csv")
	settles(t, "application/json", text, "application/json")
	settles(t, "application/manifest+json", `{"a": 1}`, "application/manifest+json")
	settles(t, "application/yaml", text, "application/yaml")
	settles(t, "text/plain", html, "text/plain")
	settles(t, "application/atom+xml", xml, "application/atom+xml")
	settles(t, "image/svg+xml", xml, "image/svg+xml")
	settles(t, "image/heif", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "image/heic")

	// Containers, and what nobody knows.
	settles(t, "application/epub+zip", zipped, "application/epub+zip")
	settles(t, "application/vnd.android.package-archive", zipped, "application/vnd.android.package-archive")
	settles(t, "application/zip", docx, "application/zip")
	settles(t, "application/vnd.x+zip", zipped, "application/vnd.x+zip")
	settles(t, "application/vnd.x", noise, "application/vnd.x")
	settles(t, "application/vnd.x", text, "application/vnd.x")
	settles(t, "application/illustrator", pdf, "application/illustrator")
	settles(t, "model/3mf", zipped, "model/3mf")
	settles(t, "audio/mpeg", noise, "audio/mpeg")
	settles(t, "font/otf", "\x00\x01\x00\x00\x00\x0a\x00\x80\x00\x03\x00\x20cmap", "font/otf")

	// Not what it is said to be.
	refuses(t, "image/jpeg", text)
	refuses(t, "image/png", gif)
	refuses(t, "text/plain", gif)
	refuses(t, "application/vnd.x", gif)
	refuses(t, "text/xml", svg)
	refuses(t, "image/svg+xml", html)
	refuses(t, "image/x-unknown", noise)
	refuses(t, "text/plain", noise)
	refuses(t, "text/markdown", noise)
	refuses(t, "text/html", pdf)
	refuses(t, "application/json", zipped)
	refuses(t, "application/pdf", text)
	refuses(t, "application/pdf", noise)
	refuses(t, "application/pdf", zipped)
	refuses(t, "video/mp4", noise)
	refuses(t, "video/x-unknown", pdf)
	refuses(t, "application/vnd.x+zip", pdf)

	// Not to be read, or not a file.
	for _, declared := range []string{"words", "a/b/c", "/", "multipart/form-data; boundary=x", "text/", string(bytes.Repeat([]byte("a/"), 200))} {
		_, err := settle("name", declared, text)
		wantFault(t, err, asset.ErrMediaType)
	}
}

func TestSettleTypeByName(t *testing.T) {
	for _, name := range []string{"a.jpg", "a.JPEG", "a/b.png", "a.webp", "a.svg"} {
		_, err := settle(name, "", "no picture\n")
		wantFault(t, err, asset.ErrMediaType, "text/plain")
	}
	if got, err := settle("a.jpg", "", "GIF89a\x01\x00\x01\x00\x00\x00\x00;"); err != nil || got != "image/gif" {
		t.Errorf("a GIF with a JPEG's name is %q, %v", got, err)
	}
	if _, err := settle("a.jpg/readme", "", "text\n"); err != nil {
		t.Errorf("a directory's name is taken for the file's: %v", err)
	}
}

func settle(name, declared, body string) (string, error) {
	return settleType(bytes.NewReader([]byte(body)), int64(len(body)), "", asset.Upload{Name: name, MediaType: declared})
}

func settles(t *testing.T, declared, body, want string) {
	t.Helper()
	if got, err := settle("name", declared, body); err != nil || got != want {
		t.Errorf("declared %q: settled on %q (%v), want %q", declared, got, err, want)
	}
}

func refuses(t *testing.T, declared, body string) {
	t.Helper()
	got, err := settle("name", declared, body)
	if err == nil {
		t.Errorf("declared %q: settled on %q", declared, got)
		return
	}
	wantFault(t, err, asset.ErrMediaType, declared[:4])
}

func archive(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		_, err := w.Create(name)
		must(t, err)
	}
	must(t, w.Close())
	return b.String()
}
