//go:build long

package app_test

import (
	"testing"

	"tickcast/internal/testkit"
)

// TestNothingLeavesDuringALongFlight flies a round whose crash point is large enough
// to be searched for in every form, binary ones too. It takes about 110 seconds.
func TestNothingLeavesDuringALongFlight(t *testing.T) {
	t.Parallel()
	flySecretly(t, func(centi int64) bool { return centi >= testkit.Unusual && centi < 70_000 })
}
