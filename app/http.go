package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
	// closeTimeout is how long requests in progress may take at the end.
	closeTimeout = 5 * time.Second
)

// httpServer serves one listener. WebSockets are taken over by their handler and
// are not bound by its times.
type httpServer struct {
	listener net.Listener
	server   *http.Server
}

// listen takes an address before anything else is started, so that a second
// process on the same machine says at once what is wrong.
func listen(option, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("address %s is in use by another process: stop it, or choose another with --%s", address, option)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on --%s: %w", option, err)
	}
	return l, nil
}

// newHTTPServer makes a server; writeTimeout bounds each answer.
func newHTTPServer(l net.Listener, h http.Handler, writeTimeout time.Duration, log *slog.Logger) *httpServer {
	return &httpServer{l, &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// run serves until ctx ends, and then until the requests in progress are
// answered.
func (s *httpServer) run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := s.server.Shutdown(end); err != nil {
		_ = s.server.Close()
	}
	<-failed
	return nil
}
