package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/assetmatrix/assetmatrix/asset"
)

// maxContent is the largest JSON body, in bytes.
const maxContent = 1 << 20

// A content reads JSON bodies of one type, strictly by the schema that /openapi.json shows of it. (huma's own reading
// takes names in any case, takes the last of two members of one name, and loses its way behind names with dots.)
type content[T any] struct {
	registry huma.Registry
	schema   *huma.Schema
}

// read reads the request's body. What is wrong is an [asset.Fault] whose part is a JSON pointer (RFC 6901).
func (c content[T]) read(r *http.Request) (T, error) {
	var v T
	if !mayBeJSON(r.Header.Get("Content-Type")) {
		return v, fault(asset.ErrMediaType, "Content-Type", "the body is not declared as JSON", "application/json")
	}
	data, err := readSmall(r, maxContent)
	if err != nil {
		return v, err
	}
	if err := wellFormed(data); err != nil {
		return v, err
	}
	w := walk{c.registry, json.NewDecoder(bytes.NewReader(data))}
	w.tokens.UseNumber()
	if err := w.value(c.schema, ""); err != nil {
		return v, err
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("a body that keeps its schema: %w", err)
	}
	return v, nil
}

// mayBeJSON reports whether a Content-Type is JSON's (a merge patch's too, RFC 7396), or says nothing: none, or what curl sends
// of itself.
func mayBeJSON(contentType string) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	return contentType == "" || mediaType == "application/json" || mediaType == "application/merge-patch+json" ||
		mediaType == "application/x-www-form-urlencoded"
}

// wellFormed says where data stops being one JSON document.
func wellFormed(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return fault(asset.ErrInvalid, "body", "the body is empty", "one JSON object")
	}
	var at int
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(data, new(any))); ok {
		at = int(syntax.Offset)
	} else if !utf8.Valid(data) {
		at = 1 + bytes.IndexRune(data, utf8.RuneError)
	} else {
		return nil
	}
	before := data[:min(at, len(data))]
	detail := fmt.Sprintf("the body is no JSON document: it goes wrong in line %d, at byte %d", 1+bytes.Count(before, []byte("\n")), at)
	return fault(asset.ErrInvalid, "body", detail, "one JSON object in UTF-8, and nothing behind it")
}

// A walk holds a well-formed document against a schema.
type walk struct {
	registry huma.Registry
	tokens   *json.Decoder
}

func (w *walk) value(s *huma.Schema, at string) error {
	s = deref(w.registry, s)
	if s.Discriminator != nil {
		return w.variant(s, at)
	}
	token, _ := w.tokens.Token() // the document is well-formed
	switch t := token.(type) {
	case nil:
		if s.Nullable {
			return nil
		}
	case bool:
		if s.Type == huma.TypeBoolean {
			return nil
		}
	case string:
		if s.Type == huma.TypeString {
			return within(s, at, !isOf(s, t))
		}
	case json.Number:
		if s.Type == huma.TypeInteger || s.Type == huma.TypeNumber {
			return within(s, at, !inRange(s, t.String()))
		}
	case json.Delim:
		if s.Type == huma.TypeObject && t == '{' {
			return w.object(s, at)
		}
		if s.Type == huma.TypeArray && t == '[' {
			return w.array(s, at)
		}
	}
	return fault(errContent, pointer(at), "this is of another type", describe(w.registry, s))
}

// isOf reports whether the schema allows the string.
func isOf(s *huma.Schema, text string) bool {
	if s.MinLength != nil && utf8.RuneCountInString(text) < *s.MinLength || len(s.Enum) > 0 && !slices.Contains(s.Enum, any(text)) {
		return false
	}
	return s.Pattern == "" || regexp.MustCompile(s.Pattern).MatchString(text)
}

// inRange reports whether text is a number that the schema allows, a whole one for an integer.
func inRange(s *huma.Schema, text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	if s.Type == huma.TypeInteger {
		var whole int64
		whole, err = strconv.ParseInt(text, 10, 64)
		n = float64(whole)
	}
	return err == nil && (s.Minimum == nil || n >= *s.Minimum) && (s.Maximum == nil || n <= *s.Maximum)
}

func within(s *huma.Schema, at string, outside bool) error {
	if outside {
		return fault(errContent, pointer(at), "this is out of range", describe(nil, s))
	}
	return nil
}

func (w *walk) object(s *huma.Schema, at string) error {
	seen := map[string]bool{}
	for w.tokens.More() {
		token, _ := w.tokens.Token()
		name := token.(string)
		of, here := member(s, name), at+"/"+asset.EscapePointer(name)
		switch {
		case of == nil:
			return fault(errContent, here, "this field is not known", describe(w.registry, s))
		case seen[name]:
			return fault(errContent, here, "this stands in the object twice", "once")
		}
		seen[name] = true
		if err := w.value(of, here); err != nil {
			return err
		}
	}
	_, _ = w.tokens.Token()
	for _, name := range s.Required {
		if !seen[name] {
			return fault(errContent, at+"/"+name, "this field is missing", describe(w.registry, s.Properties[name]))
		}
	}
	return nil
}

// variant holds an object against that one of several schemas which the value of one member tells.
func (w *walk) variant(s *huma.Schema, at string) error {
	var text json.RawMessage
	_ = w.tokens.Decode(&text) // the document is well-formed
	name := s.Discriminator.PropertyName
	var members map[string]any
	if json.Unmarshal(text, &members) != nil || members == nil {
		return fault(errContent, pointer(at), "this is of another type", "an object with "+name)
	}
	chosen, _ := members[name].(string)
	ref, ok := s.Discriminator.Mapping[chosen]
	if !ok {
		return fault(errContent, at+"/"+name, "this is none of the kinds", strings.Join(slices.Sorted(maps.Keys(s.Discriminator.Mapping)), ", "))
	}
	inner := walk{w.registry, json.NewDecoder(bytes.NewReader(text))}
	inner.tokens.UseNumber()
	return inner.value(&huma.Schema{Ref: ref}, at)
}

// member returns the schema of an object's member, nil when there may be none of that name.
func member(s *huma.Schema, name string) *huma.Schema {
	if of, ok := s.Properties[name]; ok {
		return of
	}
	of, _ := s.AdditionalProperties.(*huma.Schema)
	return of
}

func (w *walk) array(s *huma.Schema, at string) error {
	if s.MinItems != nil && !w.tokens.More() {
		return fault(errContent, pointer(at), "this list is empty", "one element or more")
	}
	for i := 0; w.tokens.More(); i++ {
		if s.MaxItems != nil && i == *s.MaxItems {
			return fault(asset.ErrTooLarge, pointer(at), "this list is too long", fmt.Sprintf("up to %d elements", i))
		}
		if err := w.value(s.Items, at+"/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	_, _ = w.tokens.Token()
	return nil
}

// nullable lets null stand for a member of a schema that is an object.
func nullable(registry huma.Registry, of *huma.Schema, member string) {
	s := *deref(registry, of.Properties[member])
	s.Nullable, s.Description = true, of.Properties[member].Description
	of.Properties[member] = &s
}

func deref(registry huma.Registry, s *huma.Schema) *huma.Schema {
	for s.Ref != "" {
		s = registry.SchemaFromRef(s.Ref)
	}
	return s
}

// pointer names the whole document where its JSON pointer, which is empty, would name nothing to a reader.
func pointer(at string) string {
	if at == "" {
		return "body"
	}
	return at
}

// aboutContent makes a refusal of the body's JSON of one that asset has for a record which is made of it.
func aboutContent(err error) error {
	if f, ok := errors.AsType[*asset.Fault](err); ok && f.Kind == asset.ErrInvalid {
		return fault(errContent, f.Part, f.Detail, f.Allowed)
	}
	return err
}

// describe says what a schema allows.
func describe(registry huma.Registry, s *huma.Schema) string {
	s = deref(registry, s)
	switch {
	case s.Discriminator != nil:
		return "an object with " + s.Discriminator.PropertyName
	case s.Type == huma.TypeInteger && s.Maximum != nil:
		return fmt.Sprintf("a whole number, %.0f–%.0f", *s.Minimum, *s.Maximum)
	case s.Type == huma.TypeInteger && s.Minimum != nil:
		return fmt.Sprintf("a whole number, at least %.0f", *s.Minimum)
	case s.Type == huma.TypeInteger:
		return "a whole number"
	case s.Type == huma.TypeNumber && s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("a number, %g–%g", *s.Minimum, *s.Maximum)
	case s.Type == huma.TypeBoolean:
		return "true or false"
	case len(s.Enum) > 0:
		return strings.ReplaceAll(strings.TrimSpace(fmt.Sprintln(s.Enum...)), " ", ", ")
	case s.Pattern != "":
		return "a string of the pattern " + s.Pattern
	case s.Type == huma.TypeString && s.MinLength != nil:
		return fmt.Sprintf("a string of at least %d characters", *s.MinLength)
	case s.Type == huma.TypeString:
		return "a string"
	case s.Type == huma.TypeArray:
		return "a list, each of it " + describe(registry, s.Items)
	case len(s.Properties) > 0:
		names := make([]string, 0, len(s.Properties))
		for name := range s.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		return "an object with " + strings.Join(names, ", ")
	}
	return "an object, each of it " + describe(registry, s.AdditionalProperties.(*huma.Schema))
}
