package service

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports come from below those that kernels give to outgoing connections and to
// listeners without a wish: nobody gets one of them by chance.
const (
	firstPort = 10_000
	ports     = 20_000
	portTries = 1_000
)

// Address is the loopback address with a port.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// ReservePort returns a TCP port of 127.0.0.1 that nobody listens on. Nobody else on
// this machine gets it from here until it is released, so a service may leave it
// for a while and come back.
func ReservePort() (port int, release func(), err error) {
	for range portTries {
		port := firstPort + rand.IntN(ports)
		if release, ok := Reserve(port); ok {
			return port, release, nil
		}
	}
	return 0, nil, fmt.Errorf("find a free port: none of %d", portTries)
}

// Reserve takes a port that nobody has. What holds it is the UDP port of the same
// number, which a process gives back however it ends.
func Reserve(port int) (release func(), ok bool) {
	hold, err := net.ListenPacket("udp", Address(port))
	if err != nil {
		return nil, false
	}
	l, err := net.Listen("tcp", Address(port))
	if err != nil {
		_ = hold.Close()
		return nil, false
	}
	_ = l.Close()
	return func() { _ = hold.Close() }, true
}
