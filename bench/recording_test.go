package bench

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRecord(t *testing.T) {
	records := func(want string, taken, lines int, logs ...string) {
		t.Helper()
		var readers []io.Reader
		for _, l := range logs {
			readers = append(readers, strings.NewReader(l))
		}
		var trace bytes.Buffer
		n, of, err := Record(&trace, readers...)
		if err != nil || n != taken || of != lines || trace.String() != want {
			t.Errorf("%d of %d, %v:\n%s", n, of, err, trace.String())
		}
	}
	const own = `{"time":"2026-03-01T10:00:02.25Z","level":"INFO","msg":"request","method":"GET","path":"/shop/w=400/b.jpg?v=1","status":200}
{"time":"2026-03-01T10:00:01Z","msg":"request","method":"GET","path":"/shop/thumb/a%20b.jpg","status":304}
{"time":"2026-03-01T10:00:03Z","msg":"request","method":"HEAD","path":"/shop/thumb/a.jpg","status":200}
{"time":"2026-03-01T10:00:03Z","msg":"request","method":"GET","path":"/shop/thumb/missing.jpg","status":404}
{"time":"2026-03-01T10:00:03Z","msg":"request","method":"GET","path":"/","status":200}
{"time":"2026-03-01T10:00:03Z","msg":"request","method":"GET","path":"/shop/never","status":0}
{"msg":"request","method":"GET","path":"/shop/sometime","status":200}
{"time":"2026-03-01T10:00:03Z","msg":"serving","path":"/shop/w=400/b.jpg","method":"GET","status":200}
{"time":"2026-03-01T10:00:03Z","msg":"request","method":"GET","path":"/shop/w=400/cut…","status":200}
{"time":"2026-03-01T1
`
	records(`{"at_ms":0,"path":"/shop/thumb/a%20b.jpg"}
{"at_ms":1250,"path":"/shop/w=400/b.jpg?v=1"}
`, 2, 10, own)
	const common = `10.0.0.1 - - [01/Mar/2026:11:00:01 +0100] "GET /a/w=1/1.jpg HTTP/1.1" 200 123 "-" "curl/8"
10.0.0.1 - frank [01/Mar/2026:11:00:01 +0100] "GET /a/w=1/2.jpg HTTP/2.0" 206 123
::1 - - [01/Mar/2026:10:00:01 +0000] "GET /a/w=1/3.jpg" 200 -
10.0.0.1 - - [01/Mar/2026:10:00:01 +0000] "POST /a/w=1/4.jpg HTTP/1.1" 200 1
10.0.0.1 - - [01/Mar/2026:10:00:01 +0000] "GET /a/w=1/5.jpg HTTP/1.1" 499 1
10.0.0.1 - - [01/Mar/2026:10:00:01 +0000] "GET http://other/ HTTP/1.1" 200 1
10.0.0.1 - - [32/Mar/2026:10:00:01 +0000] "GET /a/w=1/6.jpg HTTP/1.1" 200 1
10.0.0.1 - - [01/Mar/2026:10:00:02 +0000] "GET http://other:80/a/w=1/7%20.jpg?v=1 HTTP/1.1" 301 1

nonsense
`
	records(`{"at_ms":0,"path":"/a/w=1/1.jpg"}
{"at_ms":333,"path":"/a/w=1/2.jpg"}
{"at_ms":666,"path":"/a/w=1/3.jpg"}
{"at_ms":1000,"path":"/a/w=1/7%20.jpg?v=1"}
`, 4, 10, common)
	// A log with whole seconds beside one with fractions.
	records(`{"at_ms":0,"path":"/a/b/1"}
{"at_ms":100,"path":"/a/b/2"}
{"at_ms":500,"path":"/a/b/3"}
`, 3, 3, `- - - [01/Mar/2026:10:00:01 +0000] "GET /a/b/1" 200
- - - [01/Mar/2026:10:00:01 +0000] "GET /a/b/3" 200
`, `{"time":"2026-03-01T10:00:01.1Z","msg":"request","method":"GET","path":"/a/b/2","status":200}`)
}

func TestRecordFails(t *testing.T) {
	_, lines, err := Record(io.Discard, strings.NewReader("nonsense\n\n"), strings.NewReader("{}\n"))
	if asked(t, err, "none of 3 lines is a GET that was answered", "Common Log Format"); lines != 3 {
		t.Errorf("%d lines", lines)
	}
	_, _, err = Record(io.Discard)
	asked(t, err, "none of 0 lines")
	_, _, err = Record(io.Discard, strings.NewReader("nonsense\n"+strings.Repeat("x", 2<<20)))
	asked(t, err, "line 2 is longer than 1 MiB")
	if _, _, err = Record(io.Discard, iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrAsked) {
		t.Errorf("a log that cannot be read: %v", err)
	}
	log := strings.NewReader(`- - - [01/Mar/2026:10:00:01 +0000] "GET /a/b/1" 200`)
	if _, _, err := Record(failingWriter{}, log); err == nil {
		t.Error("a trace that could not be written")
	}
}

func TestReadTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "day.trace")
	read := func(text string) ([]Visit, error) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return readTrace(path)
	}
	visits, err := read("{\"at_ms\":20,\"path\":\"/a/b/2\"}\n\n{\"at_ms\":0,\"path\":\"/a/b/1\"}")
	if err != nil || len(visits) != 2 || visits[0] != (Visit{0, "/a/b/1"}) || visits[1].AtMS != 20 {
		t.Errorf("%v, %v", visits, err)
	}
	const good = `{"at_ms":0,"path":"/a/b/1"}` + "\n"
	for _, bad := range []string{
		"nonsense", `{"at_ms":-1,"path":"/a"}`, `{"at_ms":0,"path":"a"}`, `{"at_ms":0,"path":"/"}`, `{"at_ms":0}`, `{"at_ms":0,"path":"/a","x":1}`, `[]`,
		`{"at_ms":0,"path":"/a/b/1"} and more`,
	} {
		_, err := read(good + bad + "\n" + good)
		asked(t, err, "--trace: line 2 of "+path+" is no visit such as", "make a trace with assetmatrix bench record ACCESS_LOG")
	}
	_, err = read("\n\n")
	asked(t, err, path+" has no visit", "make a trace")
	_, err = readTrace("/nowhere/at/all")
	asked(t, err, "--trace: open /nowhere/at/all", "make one with assetmatrix bench record ACCESS_LOG")
}
