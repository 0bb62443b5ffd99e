package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// FuzzConfiguration reads any file: it is refused with an error, or what is printed of
// it is a file that says the same.
func FuzzConfiguration(f *testing.F) {
	var defaults bytes.Buffer
	writeDefaults(&defaults)
	f.Add(defaults.String())
	f.Add("listen: :0\nallowed-origins: [a, \"b\"]\nnats-url: nats://u:p@n,x@\ndrain-window: 1h\n")
	f.Add("data: \"\\x00\\u00e9\"\npartitions: 0x10\nbehind-balancer: yes\n")
	f.Add("a: {b: {}}\n? [x]\n: y\n")
	path := filepath.Join(f.TempDir(), "c.yaml")
	read := func(t *testing.T, text string) (*Config, error) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := pflag.NewFlagSet("fuzz", pflag.ContinueOnError)
		addFlags(flags)
		return load(flags, []string{configVariable + "=" + path})
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := read(t, text)
		if err != nil {
			return
		}
		_ = c.validate(ProcessServe) // it may be wrong, but is no panic
		var printed, again bytes.Buffer
		writeEffective(&printed, c)
		if c, err = read(t, printed.String()); err != nil {
			t.Fatalf("%q is printed as %s, which is refused: %v", text, &printed, err)
		}
		if writeEffective(&again, c); again.String() != printed.String() {
			t.Errorf("%q is printed as\n%s\nwhich is read as\n%s", text, &printed, &again)
		}
	})
}

// FuzzCredits reads any amount: what is accepted is the same when it is written with
// two decimals.
func FuzzCredits(f *testing.F) {
	for _, s := range []string{"250", "2.5", "0.01", "-1", "1.", "+1", "1.-5", "9223372036854775807", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		amount, err := parseCredits(s)
		if err != nil {
			return
		}
		exact := fmt.Sprintf("%d.%02d", amount/100, amount%100)
		if again, err := parseCredits(exact); err != nil || again != amount {
			t.Errorf("%q is %d, but %q is %d, %v", s, amount, exact, again, err)
		}
		if whole, _, _ := strings.Cut(exact, "."); amount <= 0 || !strings.HasPrefix(strings.TrimLeft(s, "0"), strings.TrimLeft(whole, "0")) {
			t.Errorf("%q is %d", s, amount)
		}
	})
}
