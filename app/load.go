package app

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// configVariable is the environment variable that stands for --config.
const configVariable = envPrefix + "CONFIG"

// foreignVariables are variables with our prefix that are no options.
var foreignVariables = []string{configVariable}

// serviceLink matches what Kubernetes sets in every pod for a Service named tickcast
// or tickcast-something ("Discovering services" in its documentation).
var serviceLink = regexp.MustCompile(`^TICKCAST_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)?)$`)

// load reads the options from flags, the environment and the YAML file that one
// of them names. Flags that are no options are left alone.
func load(flags *pflag.FlagSet, environ []string) (*Config, error) {
	byName := map[string]option{}
	for _, o := range options() {
		byName[o.name] = o
	}
	k := koanf.New(".")
	if err := loadFile(k, configPath(flags, environ), byName); err != nil {
		return nil, err
	}
	if err := loadEnvironment(k, environ, byName); err != nil {
		return nil, err
	}
	known := func(f *pflag.Flag) (string, any) {
		if _, ok := byName[f.Name]; !ok {
			return "", nil
		}
		return f.Name, posflag.FlagVal(flags, f)
	}
	if err := k.Load(posflag.ProviderWithFlag(flags, ".", k, known), nil); err != nil {
		return nil, fmt.Errorf("read flags: %w", err)
	}
	c := &Config{}
	for _, o := range byName {
		v := k.Get(o.name)
		if v == nil {
			v = o.value // the flags of this command do not include it
		}
		if v == "" && o.value == "" {
			continue
		}
		if err := o.assign(c, v); err != nil {
			return nil, fmt.Errorf("option %s: %w", o.name, err)
		}
	}
	return c, nil
}

func configPath(flags *pflag.FlagSet, environ []string) string {
	if f := flags.Lookup("config"); f != nil && f.Changed {
		return f.Value.String()
	}
	for _, e := range environ {
		if path, ok := strings.CutPrefix(e, configVariable+"="); ok {
			return path
		}
	}
	return ""
}

func loadFile(k *koanf.Koanf, path string, byName map[string]option) error {
	if path == "" {
		return nil
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return fmt.Errorf("read configuration %s: %w", path, err)
	}
	var errs []error
	for _, key := range k.Keys() {
		o, ok := byName[key]
		switch {
		case !ok:
			errs = append(errs, unknown(key, "key", fileKeys()))
		case o.secret:
			errs = append(errs, fmt.Errorf("key %q is a secret and not read from here: set %s", key, o.variable()))
		default:
			if err := o.assign(&Config{}, k.Get(key)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	return nil
}

func loadEnvironment(k *koanf.Koanf, environ []string, byName map[string]option) error {
	byVariable := map[string]option{}
	names := slices.Clone(foreignVariables)
	for _, o := range byName {
		byVariable[o.variable()] = o
		names = append(names, o.variable())
	}
	var errs []error
	transform := func(variable, value string) (string, any) {
		if slices.Contains(foreignVariables, variable) {
			return "", nil
		}
		o, ok := byVariable[variable]
		if !ok {
			if serviceLink.MatchString(variable) {
				return "", nil
			}
			errs = append(errs, unknown(variable, "environment variable", names))
			return "", nil
		}
		if value == "" {
			return "", nil // compose files pass on what nobody set
		}
		if err := o.assign(&Config{}, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", variable, err))
		}
		return o.name, value
	}
	provider := env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: transform, EnvironFunc: func() []string { return environ }})
	if err := k.Load(provider, nil); err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// fileKeys are the keys that a YAML file may have.
func fileKeys() []string {
	var keys []string
	for _, o := range options() {
		if !o.secret {
			keys = append(keys, o.name)
		}
	}
	return keys
}

// unknown is the error for a name that nobody knows, with the nearest known one.
func unknown(name, what string, known []string) error {
	nearest := slices.MinFunc(known, func(a, b string) int {
		return levenshtein.ComputeDistance(name, a) - levenshtein.ComputeDistance(name, b)
	})
	return fmt.Errorf("unknown %s %q: the nearest one is %q", what, name, nearest)
}

// environment is the process's environment.
func environment() []string { return os.Environ() }
