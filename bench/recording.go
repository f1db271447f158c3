package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Visit is a request that was made once: a line of a trace.
type Visit struct {
	// AtMS is when, in milliseconds from the trace's first.
	AtMS int64 `json:"at_ms"`
	// Path is what was asked for, with its query.
	Path string `json:"path"`
}

// A logged request is a line of an access log.
type logged struct {
	at     time.Time
	path   string
	coarse bool // the log has whole seconds
}

// Record makes a trace of an access log: of the program's own, or of one in the Common Log Format and what begins like it, as
// nginx, Apache and Varnish write it. It takes what was asked for with GET and answered with less than 400, and returns how
// many of how many lines that were. It is [ErrAsked] when none is such a request.
func Record(trace io.Writer, logs ...io.Reader) (taken, lines int, err error) {
	var all []logged
	for _, log := range logs {
		in := bufio.NewScanner(log)
		in.Buffer(nil, maxLogLine)
		for ; in.Scan(); lines++ {
			if l, ok := parseLogged(in.Bytes()); ok {
				all = append(all, l)
			}
		}
		if err := in.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				return 0, lines, askedWrongly("line %d is longer than %d MiB, which no access log has; give one of assetmatrix (JSON lines), or in the Common Log Format", lines+1, maxLogLine>>20)
			}
			return 0, lines, fmt.Errorf("the access log cannot be read: %w", err)
		}
	}
	if len(all) == 0 {
		return 0, lines, askedWrongly("none of %d lines is a GET that was answered; give an access log of assetmatrix (JSON lines), or one in the Common Log Format", lines)
	}
	inTime := func(a, b logged) int { return a.at.Compare(b.at) }
	slices.SortStableFunc(all, inTime)
	spreadSeconds(all)
	slices.SortStableFunc(all, inTime) // beside a log with fractions
	out := bufio.NewWriter(trace)
	for _, l := range all {
		line, err := json.Marshal(Visit{l.at.Sub(all[0].at).Milliseconds(), l.path})
		if err != nil {
			return 0, lines, err
		}
		_, _ = out.Write(append(line, '\n')) // Flush has the error
	}
	return len(all), lines, out.Flush()
}

func parseLogged(line []byte) (logged, bool) {
	if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("{")) {
		return parseOwnLog(line)
	}
	return parseCommonLog(line)
}

func parseOwnLog(line []byte) (logged, bool) {
	var l struct {
		Time              time.Time
		Msg, Method, Path string
		Status            int
	}
	if json.Unmarshal(line, &l) != nil || l.Msg != "request" {
		return logged{}, false
	}
	isCut := strings.HasSuffix(l.Path, "…")
	return logged{at: l.Time, path: l.Path}, !isCut && !l.Time.IsZero() && wanted(l.Method, l.Path, l.Status)
}

// maxLogLine is how long a line of an access log is at most, in bytes.
const maxLogLine = 1 << 20

var commonLog = regexp.MustCompile(`^\S+ \S+ \S+ \[([^\]]+)\] "(\S+) (\S+)[^"]*" (\d{3})`)

func parseCommonLog(line []byte) (logged, bool) {
	parts := commonLog.FindSubmatch(line)
	if parts == nil {
		return logged{}, false
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(parts[1]))
	status, _ := strconv.Atoi(string(parts[4])) // three digits
	path := string(parts[3])
	if u, err := url.Parse(path); err == nil && u.IsAbs() { // as varnishncsa writes it
		path = u.RequestURI()
	}
	return logged{at: at, path: path, coarse: true}, err == nil && wanted(string(parts[2]), path, status)
}

func wanted(method, path string, status int) bool {
	return method == http.MethodGet && status >= 200 && status < 400 && len(path) > 1 && path[0] == '/'
}

// spreadSeconds puts what a log with whole seconds has in one of them evenly into it.
func spreadSeconds(all []logged) {
	for i := 0; i < len(all); {
		n := 1
		for i+n < len(all) && all[i].coarse && all[i+n].coarse && all[i+n].at.Equal(all[i].at) {
			n++
		}
		for k := range n {
			all[i+k].at = all[i+k].at.Add(time.Second * time.Duration(k) / time.Duration(n))
		}
		i += n
	}
}

// maxTraceMS is when the last visit of a trace may be, in milliseconds: within a century.
const maxTraceMS = 100 * 366 * 24 * 60 * 60 * 1000

// readTrace reads what [Record] wrote.
func readTrace(path string) ([]Visit, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, askedWrongly("--trace: %w; make one with assetmatrix bench record ACCESS_LOG", err)
	}
	var visits []Visit
	n := 0
	for line := range bytes.Lines(text) {
		n++
		var v Visit
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
			continue // an empty line
		} else if err != nil || decoder.More() || v.AtMS < 0 || v.AtMS > maxTraceMS || len(v.Path) < 2 || v.Path[0] != '/' {
			return nil, askedWrongly(`--trace: line %d of %s is no visit such as {"at_ms":0,"path":"/shop/w=400/hero.jpg"}, within a century of the first; make a trace with assetmatrix bench record ACCESS_LOG`, n, path)
		}
		visits = append(visits, v)
	}
	if len(visits) == 0 {
		return nil, askedWrongly("--trace: %s has no visit; make a trace with assetmatrix bench record ACCESS_LOG", path)
	}
	slices.SortStableFunc(visits, func(a, b Visit) int { return cmp.Compare(a.AtMS, b.AtMS) })
	return visits, nil
}
