// Package app puts the program together: configuration, commands, and the wiring
// of the roles into one process or several.
//
// Role: the only package that imports all others. It holds no rules: what a
// gateway, a room server or a ledger worker does is theirs. cobra, pflag and
// koanf have their home here.
//
// Nouns: an Option is a setting with its name, type and meaning, from which flags,
// environment variables, the YAML file and their documentation follow; a Process
// is one of the ways to run (serve, gateway, room, ledger); a component is
// something that runs until it is told to stop, and a group starts components in
// order and stops them in the reverse order.
//
// Guarantees. Flags win over the environment, the environment over the file, the
// file over defaults; a key that nobody knows is an error. A configuration that
// passed validation is not checked again further in. Secrets are never printed.
// One process at a time uses a data directory.
//
// Non-guarantees: a changed configuration takes effect at the next start.
package app
