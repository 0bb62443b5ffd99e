package fanout_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"tickcast/fanout"
)

func TestSmoke(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint(plain), func(t *testing.T) {
			h := fanout.NewHub(fanout.Config{PlainWrite: plain})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); _ = h.Run(ctx) }()
			defer func() { cancel(); <-done }()
			topic := h.Topic("lobby", 0)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := h.Accept(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if err := topic.Join(c, topic.Newest(), fanout.NewFrame([]byte("joined"))); err != nil {
					t.Error(err)
				}
				for {
					_, p, err := c.Read(ctx)
					if err != nil {
						return
					}
					if err := c.Send(fanout.NewFrame(p)); err != nil {
						t.Error(err)
					}
				}
			}))
			defer srv.Close()
			c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := func(s string) {
				t.Helper()
				_, p, err := c.Read(ctx)
				if err != nil || string(p) != s {
					t.Fatalf("got %q, %v, want %q", p, err, s)
				}
			}
			want("joined")
			_ = c.Write(ctx, websocket.MessageText, []byte("echo"))
			want("echo")
			for i := range 5 {
				topic.Update(uint64(i+1), fanout.NewFrame(fmt.Append(nil, "u", i+1)))
			}
			for i := range 5 {
				want(fmt.Sprint("u", i+1))
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Error(err)
			}
		})
	}
}
