package app_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
)

// TestWhatIsPlantedIsFound says a secret on every channel and wants it heard and
// found, so that silence on a channel means something.
func TestWhatIsPlantedIsFound(t *testing.T) {
	t.Parallel()
	secret := testkit.Secret{Seed: sha256.Sum256([]byte("planted")), Centi: 1097}
	said := fmt.Sprintf(`{"seed":"%x","centi":1097}`, secret.Seed)
	for channel := range channels() {
		f := &secretFlight{heard: newCapture(), secret: secret, deployment: &deployment{t: t}}
		f.plant(channel, said)
		pieces := f.heardSoFar()[channel]
		found := f.search(channel, pieces)
		for _, want := range []string{"seed, hex", "crash point, decimal"} {
			if !slices.Contains(found, want) && (channel != channelProfiles || want == "seed, hex") {
				t.Errorf("%s: %q is not found in %q", channel, want, pieces)
			}
		}
	}
}

// TestServicesAreTappedBothWays wants both directions of a connection kept.
func TestServicesAreTappedBothWays(t *testing.T) {
	t.Parallel()
	heard := newCapture()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go answerOnce(l, "from the service\n")
	exchange(t, heard.tap(t, channelNATS, "nats://"+l.Addr().String()), "to the service\n")
	got := fmt.Sprintf("%s", heard.cut()[channelNATS])
	if !strings.Contains(got, "from the service") || !strings.Contains(got, "to the service") {
		t.Errorf("heard %q", got)
	}
}

// plant says something on a channel as a process would.
func (f *secretFlight) plant(channel, said string) {
	t := f.t
	t.Helper()
	switch channel {
	case channelNATS, channelRedis, channelSQL:
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		go answerOnce(l, "OK\n")
		exchange(t, f.heard.tap(t, channel, "tcp://"+l.Addr().String()), said+"\n")
	case channelRedisKeys:
		redis := testsvc.Redis(t)
		exchange(t, redis, fmt.Sprintf("*4\r\n$4\r\nHSET\r\n$1\r\nk\r\n$1\r\nf\r\n$%d\r\n%s\r\n", len(said), said))
		if err := f.heard.dump(hostOf(t, redis)); err != nil {
			t.Fatal(err)
		}
	case channelSockets:
		s := httptest.NewServer(sayOnSocket(said))
		defer s.Close()
		newListener(t, s.URL, f.heard)
		testkit.Eventually(t, "the message is kept", deadline, func() bool { return f.heard.size(channel) > 0 })
	case channelLogs:
		f.ledgers = []*server{{out: &lockedBuffer{}, log: &lockedBuffer{}}}
		_, _ = io.WriteString(f.ledgers[0].log, `level=DEBUG msg=flight point=1097 body=`+said)
	default:
		if channel == channelMetrics {
			said = fmt.Sprintf("# TYPE tickcast_point gauge\ntickcast_point{seed=\"%x\"} 1097\n", f.secret.Seed)
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, said) }))
		defer s.Close()
		if _, err := f.heard.get(channel, s.URL, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// exchange sends to the service at a URL and reads a line of its answer.
func exchange(t testing.TB, service, message string) {
	t.Helper()
	c, err := net.Dial("tcp", hostOf(t, service))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, message); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReader(c).ReadString('\n'); err != nil || strings.HasPrefix(answer, "-") {
		t.Fatalf("answer %q, %v", answer, err)
	}
}

// answerOnce answers the first line of the first connection.
func answerOnce(l net.Listener, answer string) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = bufio.NewReader(c).ReadString('\n')
	_, _ = io.WriteString(c, answer)
}

// sayOnSocket is a gateway that says one thing.
func sayOnSocket(said string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/guest", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"token": "any"})
	})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_ = ws.Write(r.Context(), websocket.MessageText, []byte(said))
		_, _, _ = ws.Read(r.Context()) // until the other end is closed
	})
	return mux
}
