package rest

import (
	"encoding/json"
	"testing"
)

// TestDecoding wants errors in the words of whoever wrote the JSON.
func TestDecoding(t *testing.T) {
	type inner struct {
		Seq uint64 `json:"seq"`
	}
	type embedded struct {
		Name string `json:"name"`
	}
	type body struct {
		embedded
		ID       *uint64
		Amount   int64 `json:"amount"`
		Key      *string
		Paused   bool `json:"paused"`
		Names    []string
		Applied  *map[string]uint64
		Position **inner
	}
	for text, want := range map[string]string{
		`{"id":"1"}`:               "id must be an integer from 0, not string",
		`{"id":-1}`:                "id must be an integer from 0, not number -1",
		`{"amount":1.5}`:           "amount must be an integer, not number 1.5",
		`{"key":1}`:                "key must be a string, not number",
		`{"paused":"yes"}`:         "paused must be true or false, not string",
		`{"names":{}}`:             "names must be an array, not object",
		`{"applied":[]}`:           "applied must be an object, not array",
		`{"position":"x"}`:         "position must be an object, not string",
		`{"position":{"seq":"1"}}`: "seq must be an integer from 0, not string",
		`{"name":7}`:               "name must be a string, not number",
		`[]`:                       "it must be an object, not array",
		`{"id":`:                   "unexpected end of JSON input",
	} {
		var b body
		err := json.Unmarshal([]byte(text), &b)
		if err == nil {
			t.Fatalf("%s was decoded", text)
		}
		if got := Decoding(err); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
