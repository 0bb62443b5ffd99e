package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Decoding says what encoding/json met to whoever wrote the JSON: the field and
// what was expected there, without the names of our types.
func Decoding(err error) string {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	// The last part of the path, as the others can be structs that JSON does not show. All
	// names are lower case there; a field may do without a tag.
	field := strings.ToLower(e.Field[strings.LastIndexByte(e.Field, '.')+1:])
	if field == "" {
		field = "it"
	}
	return fmt.Sprintf("%s must be %s, not %s", field, expected(e.Type), e.Value)
}

// expected names in JSON's words what is decoded into a type.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer from 0"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Pointer:
		return expected(t.Elem())
	}
	return "an object"
}
