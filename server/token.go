package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tickcast/wire"
)

// guestTokenLife is how long a guest token is valid: a guest who comes back
// within a month is the same player.
const guestTokenLife = 30 * 24 * time.Hour

// guestRenewal is how long after its end a guest's token still gets a new one, for the same
// player. It opens nothing else.
const guestRenewal = 180 * 24 * time.Hour

// loginTokenLife is how long a token is valid that a player of the operator's wallet
// gets: a day at the table, and the operator is asked again.
const loginTokenLife = 24 * time.Hour

// identity is who a token speaks for.
type identity struct {
	wire.Player
	expires time.Time
}

type claims struct {
	Name  string `json:"name,omitempty"`
	Guest bool   `json:"guest,omitempty"`
	jwt.RegisteredClaims
}

// SignToken makes a token for hello: a JWT signed by secret with HS256. It
// refuses a player that hello would refuse.
func SignToken(secret []byte, p wire.Player, expires time.Time) (string, error) {
	if !wire.ValidPlayer(p.ID) {
		return "", fmt.Errorf("sign token: player ID %q is not 1 to %d letters, digits or _-:@+", p.ID, wire.MaxPlayerBytes)
	}
	if p.Name != "" && !wire.ValidText(p.Name, wire.MaxNameBytes) {
		return "", fmt.Errorf("sign token: name %q is not 1 to %d bytes of text", p.Name, wire.MaxNameBytes)
	}
	c := claims{Name: p.Name, Guest: p.Guest, RegisteredClaims: jwt.RegisteredClaims{
		Subject: p.ID, ExpiresAt: jwt.NewNumericDate(expires),
	}}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// tokenKeys check tokens. Static.
type tokenKeys struct{ current, previous []byte }

// verify tells who a token speaks for. Its errors may be shown to the client.
func (k tokenKeys) verify(token string, now time.Time) (identity, error) {
	if token == "" {
		return identity{}, errors.New("no token")
	}
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, k.keys,
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	if err != nil {
		return identity{}, tokenFault(err)
	}
	if !wire.ValidPlayer(c.Subject) {
		return identity{}, fmt.Errorf("claim sub is not 1 to %d letters, digits or _-:@+", wire.MaxPlayerBytes)
	}
	if c.Name == "" {
		c.Name = c.Subject[:min(len(c.Subject), wire.MaxNameBytes)]
	}
	if !wire.ValidText(c.Name, wire.MaxNameBytes) {
		return identity{}, fmt.Errorf("claim name is not 1 to %d bytes of text", wire.MaxNameBytes)
	}
	return identity{Player: wire.Player{ID: c.Subject, Name: c.Name, Guest: c.Guest}, expires: c.ExpiresAt.Time}, nil
}

func (k tokenKeys) keys(*jwt.Token) (any, error) {
	set := jwt.VerificationKeySet{Keys: []jwt.VerificationKey{k.current}}
	if len(k.previous) > 0 {
		set.Keys = append(set.Keys, k.previous)
	}
	return set, nil
}

// tokenFault says what is wrong without the library's chain of causes.
func tokenFault(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return errors.New("token has expired")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return errors.New("token is not signed by a key that is accepted here")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return errors.New("token is not valid yet")
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return errors.New("token lacks a claim or has a wrong one: sub and exp are needed")
	}
	return errors.New("token is malformed")
}
