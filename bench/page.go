package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageText string

// pageTemplate has everything in it, so that a page that was sent to somebody is whole.
var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"svg":   func(p Plot) template.HTML { return template.HTML(p.svg()) }, // the library escapes its text
	"align": alignment,
	"met":   func(figure []string) string { return figure[len(figure)-1] }, // yes, no or nothing
}).Parse(pageText))

// HTML writes the report as a page that needs nothing but itself: figures, environment, plots and tables.
func (r *Report) HTML(w io.Writer) error {
	err := pageTemplate.Execute(w, struct {
		*Report
		Summary Table
	}{r, r.figures()})
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// alignment is the class of a table's column: of numbers, or of anything else.
func alignment(t Table, column int) string {
	for _, row := range t.Rows {
		if column < len(row) && strings.Trim(row[column], "0123456789,.-–%±≥≤ ") != "" {
			return "text"
		}
	}
	return "number"
}
