package control

import (
	"io"
	"strings"
	"testing"
)

func TestContentRefusals(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		body         string
		status       int
		kind         string
		part, detail string
		allowed      string
	}{
		{"", 400, "invalid-request", "body", "empty", "one JSON object"},
		{" \n", 400, "invalid-request", "body", "empty", "one JSON object"},
		{"{", 400, "invalid-request", "body", "line 1, at byte 1", "one JSON object"},
		{"{\n\"presets\": {]}", 400, "invalid-request", "body", "line 2, at byte 15", "one JSON object"},
		{"{} x", 400, "invalid-request", "body", "line 1, at byte 4", "nothing behind it"},
		{"{}{}", 400, "invalid-request", "body", "line 1, at byte 3", "nothing behind it"},
		{"{\"origins\":[\"\xff\"]}", 400, "invalid-request", "body", "byte 14", "UTF-8"},
		{strings.Repeat("[", 20_000), 400, "invalid-request", "body", "", "one JSON object"},
		{"[]", 422, "invalid-content", "body", "another type", "an object with client_hints, lifetimes, origins, presets"},
		{"null", 422, "invalid-content", "body", "another type", "an object with"},
		{`"x"`, 422, "invalid-content", "body", "another type", "an object with"},
		{`{"presets":[]}`, 422, "invalid-content", "/presets", "another type", "an object, each of it a string"},
		{`{"presets":{"a.b":1}}`, 422, "invalid-content", "/presets/a.b", "another type", "a string"},
		{`{"presets":{"a":"w=1","a":"w=2"}}`, 422, "invalid-content", "/presets/a", "twice", "once"},
		{`{"presets":{},"presets":{}}`, 422, "invalid-content", "/presets", "twice", "once"},
		{`{"presets":{},"pre\u0073ets":{}}`, 422, "invalid-content", "/presets", "twice", "once"},
		{`{"origins":{}}`, 422, "invalid-content", "/origins", "another type", "a list, each of it a string"},
		{`{"origins":["*",{"a":[1]}]}`, 422, "invalid-content", "/origins/1", "another type", "a string"},
		{`{"origins":[true]}`, 422, "invalid-content", "/origins/0", "another type", "a string"},
		{`{"lifetimes":{"max_age":"1"}}`, 422, "invalid-content", "/lifetimes/max_age", "another type", "a whole number, 0–31536000"},
		{`{"lifetimes":{"max_age":1.5}}`, 422, "invalid-content", "/lifetimes/max_age", "out of range", "a whole number, 0–31536000"},
		{`{"lifetimes":{"max_age":1e2}}`, 422, "invalid-content", "/lifetimes/max_age", "out of range", "a whole number, 0–31536000"},
		{`{"lifetimes":{"max_age":99999999999999999999}}`, 422, "invalid-content", "/lifetimes/max_age", "out of range", "a whole number, 0–31536000"},
		{`{"lifetimes":{"max_age":null}}`, 422, "invalid-content", "/lifetimes/max_age", "another type", "a whole number, 0–31536000"},
		{`{"lifetimes":{"max_age":1,"maxage":1}}`, 422, "invalid-content", "/lifetimes/maxage", "not known", "max_age, s_maxage"},
		{`{"$schema":"x"}`, 422, "invalid-content", "/$schema", "not known", "lifetimes"},
		{`{"a/b":1}`, 422, "invalid-content", "/a~1b", "not known", "lifetimes"},
	} {
		a := h.json("/v1/products/shop", c.body)
		refused(t, a, c.status, c.kind, c.part, c.allowed)
		if !strings.Contains(string(a.body), c.detail) {
			t.Errorf("%s: %s", c.body, a.body)
		}
	}
	refused(t, h.json("/v1/products/shop/links/a", `{"asset":""}`), 422, "invalid-content", "/asset", "a string of at least 1 characters")
}

func TestContentType(t *testing.T) {
	h := open(t)
	for _, mediaType := range []string{"text/plain", "multipart/form-data; boundary=x", "application/json5", "application/xml;a=+json", "application/vnd.x+json"} {
		refused(t, h.ask("PUT", "/v1/products/shop", "{}", "Content-Type", mediaType), 415, "unsupported-media-type", "Content-Type", "application/json")
	}
	for _, mediaType := range []string{"", "application/x-www-form-urlencoded", "application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;a=\"+b\""} {
		if a := h.ask("PUT", "/v1/products/shop", "{}", "Content-Type", mediaType); a.StatusCode >= 300 {
			t.Errorf("%s: %s %s", mediaType, a.Status, a.body)
		}
	}
}

func TestContentTooLarge(t *testing.T) {
	h := open(t)
	large := `{"origins":["` + strings.Repeat("x", maxContent) + `"]}`
	refused(t, h.json("/v1/products/shop", large), 413, "too-large", "body", "1048576 bytes")
	ofUnknownLength := io.MultiReader(strings.NewReader(large))
	refused(t, h.askBody("PUT", "/v1/products/shop", ofUnknownLength, "Content-Type", "application/json"), 413, "too-large", "body", "1048576 bytes")
	full := `{"origins":["*"]}` + strings.Repeat(" ", maxContent-17)
	if a := h.json("/v1/products/shop", full); a.StatusCode != 201 {
		t.Error(a.Status, string(a.body))
	}
}
