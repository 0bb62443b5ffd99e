package crash

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// dumbChain is the definition: all seeds of a chain, index 0 the commitment.
func dumbChain(secret, room string, chain byte, rounds int) []Seed {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(room + "\x00\x00\x00" + string(rune(chain))))
	seeds := make([]Seed, rounds+1)
	seeds[rounds] = Seed(mac.Sum(nil))
	for i := rounds; i > 0; i-- {
		seeds[i-1] = sha256.Sum256(seeds[i][:])
	}
	return seeds
}

func TestChainsAgreeWithTheDefinition(t *testing.T) {
	for _, rounds := range []int{1, 2, 5, 1023, 1024, 1025, 3000, ChainRounds} {
		want := dumbChain("secret", "room-1", 3, rounds)
		chains := NewChains([]byte("secret"), strings.NewReader(""))
		chains.Rounds = uint64(rounds)
		// First from the top down by a stride, then up: both meet cold and warm marks.
		for i := rounds; i >= 1; i -= 1 + rounds/37 {
			if got, ok := chains.Seed("room-1", 3, uint64(i)); !ok || Seed(got) != want[i] {
				t.Fatalf("%d rounds: seed %d is wrong", rounds, i)
			}
		}
		if got, ok := chains.Commitment("room-1", 3); !ok || Seed(got) != want[0] {
			t.Fatalf("%d rounds: the commitment is wrong", rounds)
		}
		for i := 1; i <= rounds; i += 1 + rounds/41 {
			if got, _ := chains.Seed("room-1", 3, uint64(i)); Seed(got) != want[i] {
				t.Fatalf("%d rounds: seed %d is wrong on the way up", rounds, i)
			}
		}
		for _, i := range []uint64{0, uint64(rounds) + 1} {
			if _, ok := chains.Seed("room-1", 3, i); ok {
				t.Fatalf("%d rounds: there is a seed %d", rounds, i)
			}
		}
	}
}

func TestChainsDifferByRoomAndNumber(t *testing.T) {
	chains := NewChains([]byte("secret"), strings.NewReader(""))
	chains.Rounds = 10
	seen := map[[32]byte]string{}
	for _, room := range []string{"a", "b"} {
		for chain := range uint32(3) {
			seed, _ := chains.Seed(room, chain, 4)
			name := fmt.Sprint(room, chain)
			if other, ok := seen[seed]; ok {
				t.Fatalf("%s and %s share a seed", name, other)
			}
			seen[seed] = name
		}
	}
}

func TestChainsAreBoundedAndForgetSafely(t *testing.T) {
	chains := NewChains([]byte("secret"), strings.NewReader(""))
	chains.Rounds = 3
	want, _ := chains.Seed("room-0", 0, 2)
	for i := range keptChains + 10 {
		chains.Seed(fmt.Sprint("other-", i), 0, 1)
	}
	if n, m := len(chains.known), chains.used.Len(); n != keptChains || m != keptChains {
		t.Fatalf("%d and %d chains are kept, want %d", n, m, keptChains)
	}
	if got, _ := chains.Seed("room-0", 0, 2); got != want {
		t.Fatal("a chain that was dropped came back differently")
	}
}

func TestChainsConcurrently(t *testing.T) {
	want := dumbChain("secret", "room", 0, 5000)
	chains := NewChains([]byte("secret"), strings.NewReader(""))
	chains.Rounds = 5000
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 1 + w; i <= 5000; i += 97 {
				if got, _ := chains.Seed("room", 0, uint64(i)); Seed(got) != want[i] {
					t.Errorf("seed %d is wrong", i)
				}
			}
		})
	}
	wg.Wait()
}

func TestSalt(t *testing.T) {
	chains := NewChains([]byte("secret"), bytes.NewReader(bytes.Repeat([]byte{0xab}, 40)))
	if got := chains.Salt(); got != strings.Repeat("ab", 32) {
		t.Fatalf("salt %q", got)
	}
	if got := chains.Salt(); got != "" {
		t.Fatalf("a salt %q from a source that ended", got)
	}
}

func TestChainsDoNotPrintTheirSecret(t *testing.T) {
	chains := NewChains([]byte("hush-hush"), strings.NewReader(""))
	chains.Seed("room", 0, 1)
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(f, chains); got != "crash.SecretChains" {
			t.Fatalf("%s prints %q", f, got)
		}
	}
}

func BenchmarkChainFromCold(b *testing.B) {
	for b.Loop() {
		NewChains([]byte("secret"), strings.NewReader("")).Commitment("room", 0)
	}
}

func BenchmarkSeedWarm(b *testing.B) {
	chains := NewChains([]byte("secret"), strings.NewReader(""))
	chains.Commitment("room", 0)
	for i := uint64(1); b.Loop(); i++ {
		chains.Seed("room", 0, i%ChainRounds+1)
	}
}
