package asset

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// Every sentinel has a row, its status is the one that its comment promises, and what wraps it is not shown.
func TestClassify(t *testing.T) {
	for kind, status := range map[error]int{
		ErrMalformed: 400, ErrMethod: 405, ErrSlow: 408, ErrHeadersTooLarge: 431, ErrHTTPVersion: 505,
		ErrInvalid: 400, ErrForbidden: 403, ErrNotFound: 404, ErrConflict: 409, ErrGone: 410, ErrPrecondition: 412,
		ErrTooLarge: 413, ErrMediaType: 415, ErrUndecodable: 422, ErrUnavailable: 503,
		ErrOverloaded: 503, ErrTimeout: 504, ErrCorrupt: 503, context.Canceled: 503, context.DeadlineExceeded: 504,
		errors.New("anything"): 500,
	} {
		err := fmt.Errorf("put /secret/path: %w", kind)
		c := Classify(err, nil)
		p := c.Problem(err)
		if c.Status != status || p.Status != status || p.Title == "" || p.Detail != "" || strings.Contains(p.Title, "secret") {
			t.Errorf("%v: %+v", kind, p)
		}
		if p.Type != "https://assetmatrix.dev/problems/"+c.Name || c.Name == "" {
			t.Errorf("%v: type %q", kind, p.Type)
		}
		if retry := c.RetryAfter() > 0; retry != (status == 503 || status == 504) {
			t.Errorf("%v: to come back: %v", kind, retry)
		}
	}
}

// A sentinel that is added to errors.go needs a row.
func TestEverySentinelHasAClass(t *testing.T) {
	known := map[string]bool{}
	for _, c := range classes {
		known[c.Kind.Error()] = true
	}
	f, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	sentinels := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		sentinels++
		text := spec.Values[0].(*ast.CallExpr).Args[0].(*ast.BasicLit).Value
		if !known[strings.Trim(text, `"`)] {
			t.Errorf("%s has no class", spec.Names[0])
		}
		return true
	})
	if sentinels < 15 {
		t.Errorf("%d sentinels found", sentinels)
	}
}

func TestOwnClassesComeFirst(t *testing.T) {
	mine := errors.New("mine")
	own := []Class{{Kind: mine, Status: 418, Name: "mine"}, {Kind: ErrGone, Status: 404, Name: "not-even-gone"}}
	for err, status := range map[error]int{mine: 418, ErrGone: 404, ErrNotFound: 404, errors.Join(ErrInvalid, mine): 418} {
		if c := Classify(err, own); c.Status != status {
			t.Errorf("%v: %+v", err, c)
		}
	}
}

// Only a Fault has words to show, and one of a kind that nobody foresaw may hold anything.
func TestProblemWords(t *testing.T) {
	words := func(kind error) (Problem, bool) {
		err := fmt.Errorf("secret: %w", &Fault{Kind: kind, Part: "width", Detail: "is wide", Allowed: "1–8"})
		p := Classify(err, nil).Problem(err)
		return p, p.Part == "width" && p.Detail == "is wide" && p.Allowed == "1–8"
	}
	if p, shown := words(ErrInvalid); !shown {
		t.Errorf("%+v", p)
	}
	if p, _ := words(errors.New("x")); p.Status != 500 || p.Detail+p.Part+p.Allowed != "" {
		t.Errorf("%+v", p)
	}
}

func TestProblemText(t *testing.T) {
	check := func(p Problem, words, document string) {
		t.Helper()
		if p.Error() != words || string(p.Document()) != document+"\n" {
			t.Errorf("%s\n%s", p.Error(), p.Document())
		}
	}
	check(Problem{Title: "Something went wrong here", Status: 500}, "Something went wrong here (500)",
		`{"type":"","title":"Something went wrong here","status":500}`)
	check(Problem{"u", "Not here", 404, `there is no product "x"`, "product", "the products"},
		`Not here (404): there is no product "x" [product]; allowed: the products`,
		`{"type":"u","title":"Not here","status":404,"detail":"there is no product \"x\"","part":"product","allowed":"the products"}`)
}

func TestRetryAfterIsJittered(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		seen[Classify(ErrOverloaded, nil).RetryAfter()] = true
	}
	if len(seen) != 3 || !seen[2] || !seen[3] || !seen[4] {
		t.Error(seen)
	}
}
