package wallet

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tickcast/wire"
)

// idleConns is how many connections to the wallet are kept: as many as are used when
// it is busy.
const idleConns = 64

// Client is a Wallet behind HTTP. Make it with NewClient.
type Client struct {
	base string
	key  []byte
	http *http.Client
	now  func() time.Time
}

var _ Wallet = (*Client)(nil)

// NewClient makes a client of the wallet at an http or https address, whose path
// precedes those of the protocol. The key has at least MinKeyBytes. The caller bounds
// each request by its context.
func NewClient(address string, key []byte) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("wallet: %s is not an address such as https://wallet.example.com/tickcast", redacted(u))
	}
	if len(key) < MinKeyBytes {
		return nil, fmt.Errorf("wallet: a key of %d bytes is too short: at least %d", len(key), MinKeyBytes)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleConns
	transport.Proxy = nil // money takes no detour that nobody configured for it
	return &Client{
		base: strings.TrimSuffix(address, "/"), key: key, now: time.Now,
		http: &http.Client{
			Transport: transport,
			// An answer from elsewhere is not signed for this request.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// redacted is an address without its password. What cannot be parsed may have one
// anywhere.
func redacted(u *url.URL) string {
	if u == nil {
		return "what was given"
	}
	return strconv.Quote(u.Redacted())
}

// Close ends the connections that are kept.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Authenticate implements Wallet.
func (c *Client) Authenticate(ctx context.Context, token string) (wire.Player, error) {
	var answer authenticateAnswer
	if _, err := c.ask(ctx, "authenticate", authenticateRequest{token}, &answer); err != nil {
		return wire.Player{}, err
	}
	if answer.Player == "" {
		return wire.Player{}, ErrToken
	}
	p := wire.Player{ID: answer.Player, Name: answer.Name}
	if p.Name == "" {
		p.Name = p.ID[:min(len(p.ID), wire.MaxNameBytes)]
	}
	if !wire.ValidPlayer(p.ID) || !wire.ValidText(p.Name, wire.MaxNameBytes) {
		return wire.Player{}, errors.New("wallet: authenticate: the answer's player or name is malformed")
	}
	return p, nil
}

// Balance implements Wallet.
func (c *Client) Balance(ctx context.Context, player string) (int64, error) {
	var answer balanceAnswer
	if _, err := c.ask(ctx, "balance", balanceRequest{player}, &answer); err != nil {
		return 0, err
	}
	return answer.Balance, checkBalance(answer.Balance)
}

// Withdraw implements Wallet.
func (c *Client) Withdraw(ctx context.Context, t Transaction) (Answer, error) {
	return c.transact(ctx, "withdraw", t)
}

// Deposit implements Wallet.
func (c *Client) Deposit(ctx context.Context, t Transaction) (Answer, error) {
	return c.transact(ctx, "deposit", t)
}

// Rollback implements Wallet.
func (c *Client) Rollback(ctx context.Context, t Transaction) (Answer, error) {
	return c.transact(ctx, "rollback", t)
}

func (c *Client) transact(ctx context.Context, op string, t Transaction) (Answer, error) {
	var a Answer
	status, err := c.ask(ctx, op, t, &a)
	if err != nil {
		return Answer{}, err
	}
	a.Repeated = status == http.StatusConflict
	if a.Done == (a.Code != "") {
		return Answer{}, fmt.Errorf("wallet: %s: an answer is done, or has the code of a refusal", op)
	}
	return a, checkBalance(a.Balance)
}

func checkBalance(n int64) error {
	if n < 0 || n > MaxBalance {
		return fmt.Errorf("wallet: balance %d is not within 0 to %d", n, int64(MaxBalance))
	}
	return nil
}

// ask sends a signed request, decodes the signed answer and returns its status. Every
// error means that it is not known what happened.
func (c *Client) ask(ctx context.Context, op string, request, answer any) (int, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return 0, fmt.Errorf("wallet: %s: %w", op, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+pathPrefix+op, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("wallet: %s: %w", op, err)
	}
	at := strconv.FormatInt(c.now().UnixMilli(), 10)
	signature := signRequest(c.key, at, pathPrefix+op, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(headerTime, at)
	r.Header.Set(headerSignature, signature)
	got, err := c.http.Do(r)
	if err != nil {
		return 0, fmt.Errorf("wallet: %w", err)
	}
	defer func() { _ = got.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(got.Body, MaxBodyBytes))
	if err != nil {
		return 0, fmt.Errorf("wallet: %s: read answer: %w", op, err)
	}
	switch got.StatusCode {
	case http.StatusOK, http.StatusConflict, http.StatusUnprocessableEntity:
	default:
		return 0, fmt.Errorf("wallet: %s: status %d: %.200q", op, got.StatusCode, content)
	}
	want := signAnswer(c.key, signature, got.StatusCode, content)
	if !hmac.Equal([]byte(want), []byte(got.Header.Get(headerSignature))) {
		return 0, fmt.Errorf("wallet: %s: status %d: answer: %w", op, got.StatusCode, errSignature)
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return 0, fmt.Errorf("wallet: %s: decode answer: %w", op, err)
	}
	return got.StatusCode, nil
}
