//go:build long

package crash

import "testing"

func TestReturnWithManySeeds(t *testing.T) { playChain(t, 10_000_000) }
