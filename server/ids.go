package server

import (
	"crypto/rand"
	"strings"

	"github.com/google/uuid"
)

// randomID is 16 letters and digits that nobody can guess the next of.
func randomID() string { return strings.ToLower(rand.Text()[:16]) }

// newUUID is a UUIDv7: it sorts by time in the archive.
func newUUID() string { return uuid.Must(uuid.NewV7()).String() }
