//go:build !linux

package fanout

import "errors"

// poller is not there on this system: connections have a reading goroutine each.
type poller struct{}

func newPoller() (*poller, error) { return nil, errors.ErrUnsupported }

func (p *poller) await(*Conn) error { return errors.ErrUnsupported }

func (p *poller) forget(*Conn) {}

func (p *poller) close() {}
