//go:build !linux

package socket

import (
	"context"
	"errors"
	"net/url"
	"syscall"
	"time"
)

// loop does not exist here: every connection has a goroutine.
type loop struct{}

func newLoops(int, time.Time) ([]*loop, error) { return nil, nil }

func (*loop) run(context.Context) {}

func (*Client) dialLean(context.Context, *url.URL, Target) (Conn, error) {
	return nil, errors.ErrUnsupported
}

// control leaves every option to the system.
func (t *Target) control(string, string, syscall.RawConn) error { return nil }
