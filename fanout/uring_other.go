//go:build !linux

package fanout

import "errors"

func openUring() (sender, error) { return nil, errors.ErrUnsupported }
