package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickcast/wire"
)

const (
	// operatorTimeout is longer than the API waits for a room's answer.
	operatorTimeout = 15 * time.Second
	// maxAnswer bounds what is read of an answer of the operator API.
	maxAnswer = 16 << 20
)

// operatorClient speaks to the operator API of a gateway.
type operatorClient struct {
	base     string // URL of an internal listener
	key      string
	operator string // who acts, for the audit list
	http     *http.Client
}

// refusal is an answer that says no.
type refusal struct {
	status  int
	code    wire.Code // empty when the answer has none
	message string
}

// Error implements error.
func (r *refusal) Error() string {
	switch {
	case r.message != "":
		return fmt.Sprintf("%s (%s)", r.message, r.code)
	case r.code != "":
		return string(r.code)
	}
	return fmt.Sprintf("the server answered %d %s", r.status, http.StatusText(r.status))
}

// call asks the API. Body and answer may be nil.
func (c *operatorClient) call(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		sent = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+"/api"+path, sent)
	if err != nil {
		return fmt.Errorf("ask the operator API: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	r.Header.Set("X-Operator", c.operator)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the operator API: %w (is it the address of an internal listener? see --api)", err)
	}
	defer func() { _ = got.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer of the operator API: %w", err)
	}
	var failure struct {
		Error *wire.Error `json:"error"`
	}
	if err := json.Unmarshal(b, &failure); err != nil && got.StatusCode < 300 {
		return fmt.Errorf("read answer of the operator API: %w", err)
	}
	if failure.Error != nil || got.StatusCode >= 300 {
		e := &refusal{status: got.StatusCode}
		if failure.Error != nil {
			e.code, e.message = failure.Error.Code, failure.Error.Message
		}
		return e
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("read answer of the operator API: %w", err)
	}
	return nil
}

// operatorFlags are the flags of every command for operators.
type operatorFlags struct{ api, as string }

// add defines the flags on a command and all its children.
func (o *operatorFlags) add(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&o.api, "api", "", "address of an internal listener, such as http://127.0.0.1:9090; empty: from internal-listen")
	f.StringVar(&o.as, "as", "", "who you are, for the audit list; empty: your login name")
	f.String("config", "", "YAML file with options (see defaultconfig)")
	for _, opt := range options() {
		if opt.name == "operator-key-file" || opt.name == "data" {
			addFlag(f, opt)
		}
	}
}

// client makes the client that the flags and the configuration describe. The key
// is given by value, in a file, or was drawn by an embedded start.
func (o *operatorFlags) client(cmd *cobra.Command) (*operatorClient, error) {
	c, err := load(cmd.Flags(), environment())
	if err != nil {
		return nil, err
	}
	key := c.OperatorKey
	if key == "" {
		key, err = readSecret(c.operatorKeyPath())
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("no operator key: %s is not there; give --operator-key-file, TICKCAST_OPERATOR_KEY or --data", c.operatorKeyPath())
		}
		if err != nil {
			return nil, err
		}
	}
	base := o.api
	if base == "" {
		base = localURL(c.InternalListen)
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" {
		return nil, fmt.Errorf("api: %q is not an address such as http://127.0.0.1:9090", base)
	}
	return newOperatorClient(strings.TrimSuffix(base, "/"), key, o.as), nil
}

func newOperatorClient(base, key, operator string) *operatorClient {
	if operator == "" {
		operator = "cli"
		if u, err := user.Current(); err == nil && wire.ValidPlayer(u.Username) {
			operator = u.Username
		}
	}
	return &operatorClient{base: base, key: key, operator: operator, http: &http.Client{}}
}

// localURL is where a listener can be reached on this machine.
func localURL(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
