package wallet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Headers of signed requests and answers.
const (
	headerTime      = "Tickcast-Timestamp" // Unix ms
	headerSignature = "Tickcast-Signature" // hex of an HMAC-SHA256
)

// MaxSkew is how far the timestamp of a request may be from the clock of whoever
// receives it, either way.
const MaxSkew = 5 * time.Minute

// MaxBodyBytes bounds requests and answers.
const MaxBodyBytes = 64 << 10

// MinKeyBytes is the least length of a key.
const MinKeyBytes = 32

var (
	errSignature = errors.New("the signature does not fit")
	errStale     = errors.New("the timestamp is too far from this clock")
)

// signRequest signs what a request is: when, what for, and with which content.
func signRequest(key []byte, at, path string, body []byte) string {
	return sign(key, "request", at, path, body)
}

// signAnswer signs an answer to the request of a signature, so that it answers no
// other.
func signAnswer(key []byte, request string, status int, body []byte) string {
	return sign(key, "answer", request, strconv.Itoa(status), body)
}

// sign is the HMAC over three lines and the body.
func sign(key []byte, what, a, b string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s\n%s\n%s\n", what, a, b)
	_, _ = mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// checkRequest verifies a request's signature and age.
func checkRequest(key []byte, at, path, signature string, body []byte, now time.Time) error {
	if !hmac.Equal([]byte(signRequest(key, at, path, body)), []byte(signature)) {
		return errSignature
	}
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return errStale
	}
	if age := now.Sub(time.UnixMilli(ms)); age > MaxSkew || age < -MaxSkew {
		return fmt.Errorf("%w: by %s", errStale, age.Round(time.Millisecond))
	}
	return nil
}
