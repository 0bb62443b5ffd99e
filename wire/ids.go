package wire

import (
	"unicode"
	"unicode/utf8"
)

// ValidRoomID reports whether s matches [a-z0-9][a-z0-9_-]{0,63}. Subjects are
// built only from IDs that passed.
func ValidRoomID(s string) bool {
	if s == "" || len(s) > MaxRoomIDBytes || s[0] == '_' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// ValidKey reports whether s can be a command key: 1 to 64 bytes of printable
// ASCII without space.
func ValidKey(s string) bool { return validToken(s, MaxKeyBytes) }

// ValidPlayer reports whether s can be a player ID: 1 to 64 bytes of letters,
// digits and "_-:@+" (a player ID is a JWT subject and a key in NATS and Redis,
// so dots, wildcards, spaces and controls are out).
func ValidPlayer(s string) bool {
	if s == "" || len(s) > MaxPlayerBytes {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '_', c == '-', c == ':', c == '@', c == '+':
		default:
			return false
		}
	}
	return true
}

// ValidOp reports whether s can be an operation: [a-z_]{1,32}.
func ValidOp(s string) bool {
	if s == "" || len(s) > MaxOpBytes {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// ValidNode reports whether s can be a node ID, which is a subject token:
// 1 to 64 bytes of letters, digits, "_" and "-".
func ValidNode(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// ValidText reports whether s is UTF-8 text of 1 to limit bytes without control
// characters: chat lines and display names.
func ValidText(s string, limit int) bool {
	if s == "" || len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

func validToken(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
