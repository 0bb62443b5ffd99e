package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// secretBytes is the entropy of a drawn secret; minSecretChars is the least
	// length of a given one: 32 characters of hex are 128 bits.
	secretBytes    = 32
	minSecretChars = 32

	roomSecretName  = "room.secret"
	jwtSecretName   = "jwt.secret"
	operatorKeyName = "operator.key"
)

// secrets are what a server process must know and nobody else may.
type secrets struct {
	room        []byte // ProcessServe, ProcessRoom
	jwt         []byte // ProcessServe, ProcessGateway
	jwtPrevious []byte // may be nil
	operatorKey string // ProcessServe, ProcessGateway
	wallet      []byte // ProcessServe, ProcessLedger; nil without a wallet
}

// secretSource is where one secret comes from: given by value, in a file, or in
// the data directory.
type secretSource struct {
	option  string // of the value; the file's option is this and "-file"
	value   string
	path    string
	name    string // in the data directory
	needed  bool
	drawing bool // draw it when the data directory has none
}

// loadSecrets collects the secrets that a process needs. With an embedded log
// they are drawn at the first start and kept in the data directory; otherwise
// every process of the deployment must be given the same ones.
func loadSecrets(c *Config, p Process, draw bool) (secrets, error) {
	serve := p == ProcessServe
	drawing := draw && serve && c.embeddedNATS()
	read := func(s secretSource) (string, error) {
		s.drawing = drawing && s.needed
		return s.read(c.secretsDir())
	}
	room, err1 := read(secretSource{"room-secret", c.RoomSecret, c.RoomSecretFile, roomSecretName, serve || p == ProcessRoom, false})
	jwt, err2 := read(secretSource{"jwt-secret", c.JWTSecret, c.JWTSecretFile, jwtSecretName, serve || p == ProcessGateway, false})
	previous, err3 := read(secretSource{"jwt-previous-secret", c.JWTPreviousSecret, c.JWTPreviousSecretFile, "", false, false})
	key, err4 := read(secretSource{"operator-key", c.OperatorKey, c.OperatorKeyFile, operatorKeyName, serve || p == ProcessGateway, false})
	walletKey, err5 := readWalletKey(c, serve || p == ProcessLedger)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return secrets{}, err
	}
	s := secrets{room: []byte(room), jwt: []byte(jwt), operatorKey: key}
	if walletKey != "" {
		s.wallet = []byte(walletKey)
	}
	if previous != "" {
		s.jwtPrevious = []byte(previous)
	}
	return s, nil
}

// readWalletKey reads the key that is shared with the operator's wallet. It is never
// drawn, since the other side must have it.
func readWalletKey(c *Config, needed bool) (string, error) {
	s := secretSource{option: "wallet-key", value: c.WalletKey, path: c.WalletKeyFile}
	if c.WalletURL == "" || !needed {
		return "", nil
	}
	if s.value == "" && s.path == "" {
		return "", errors.New("wallet-url without a key: set TICKCAST_WALLET_KEY or --wallet-key-file")
	}
	return s.read("")
}

func (s secretSource) read(dir string) (string, error) {
	o := option{name: s.option}
	switch {
	case s.value != "" && s.path != "":
		return "", fmt.Errorf("%s and --%s-file are both set", o.variable(), s.option)
	case s.value != "":
		return s.value, checkSecret(o.variable(), s.value)
	case s.path != "":
		return readSecret(s.path)
	case s.drawing:
		return drawSecret(filepath.Join(dir, s.name))
	case s.needed:
		return "", fmt.Errorf("%s: with external services this secret is shared by all processes: set %s or --%s-file", s.option, o.variable(), s.option)
	}
	return "", nil
}

// readSecret reads a secret from a file, without the line's end.
func readSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	return s, checkSecret(path, s)
}

// drawSecret reads a secret from a file, and draws it if there is none. The file
// is complete before it has its name, so that a crash leaves no half a secret, and
// it has its name on the disk before anything is derived from it.
func drawSecret(path string) (string, error) {
	s, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("draw secret: %w", err)
	}
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	s = hex.EncodeToString(b[:])
	if err := writeSynced(path+".part", []byte(s+"\n")); err != nil {
		return "", fmt.Errorf("draw secret: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return "", fmt.Errorf("draw secret: %w", err)
	}
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if err := syncDirectory(dir); err != nil {
			return "", fmt.Errorf("draw secret: %w", err)
		}
	}
	return s, nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// checkSecret refuses what is no secret: short, from an example, or one
// character over and over.
func checkSecret(where, s string) error {
	if len(s) < minSecretChars {
		return fmt.Errorf("%s: a secret of %d characters is too short: at least %d, for example from openssl rand -hex 32", where, len(s), minSecretChars)
	}
	distinct := map[rune]bool{}
	for _, r := range s {
		distinct[r] = true
	}
	lower := strings.ToLower(s)
	for _, word := range []string{"example", "change", "secret", "password", "replace", "your-", "xxxx", "0123456789abcdef0123456789abcdef"} {
		if strings.Contains(lower, word) {
			return fmt.Errorf("%s: an example value is no secret (it contains %q)", where, word)
		}
	}
	if len(distinct) < 8 {
		return fmt.Errorf("%s: a secret of %d different characters is too simple", where, len(distinct))
	}
	return nil
}
