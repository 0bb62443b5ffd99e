package app

import (
	"slices"
	"testing"
)

func TestExpandRooms(t *testing.T) {
	for name, c := range map[string]struct {
		list, want []string // want nil: an error
	}{
		"no pattern":     {[]string{"lobby", "derby"}, []string{"lobby", "derby"}},
		"a range":        {[]string{"lobby", "many-[8-11]", "x[3-3]y"}, []string{"lobby", "many-8", "many-9", "many-10", "many-11", "x3y"}},
		"no range":       {[]string{"a[2-1]"}, nil},
		"too many":       {[]string{"a[0-100000]"}, nil},
		"not understood": {[]string{"a[0-1][2-3]", "a[-1]"}, []string{"a[0-1][2-3]", "a[-1]"}}, // which are no rooms
	} {
		got, err := expandRooms(c.list)
		if (err != nil) != (c.want == nil) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
