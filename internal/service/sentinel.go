package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// masterName is what Sentinels call the Redis that they watch.
	masterName = "tickcast"
	sentinels  = 3
	// pollEvery is how often a group of services is asked whether it is whole.
	pollEvery = 50 * time.Millisecond
)

// SentinelRedis is two Redis, of which one is the other's replica, and three Sentinels.
// When two Sentinels agree that the master was silent for a second, they make the
// replica the master; the old one becomes a replica when it comes back.
type SentinelRedis struct {
	Nodes     []*Service // the first is the master at the start
	Sentinels []*Service
}

// StartSentinelRedis starts all five, with their data in dir, and returns when a
// failover would succeed. Path is that of redis-server. The caller calls Close.
func StartSentinelRedis(path, dir string) (*SentinelRedis, error) {
	r := &SentinelRedis{}
	if err := r.start(path, dir); err != nil {
		r.Close()
		return nil, fmt.Errorf("start Redis with Sentinels: %w", err)
	}
	return r, nil
}

func (r *SentinelRedis) start(path, dir string) error {
	// Without the delay a replica would get its first copy after five seconds, and a
	// failover before that would lose everything.
	options := []string{"--repl-diskless-sync-delay", "0"}
	for i := range 2 {
		home, err := subdirectory(dir, fmt.Sprint("redis-", i))
		if err != nil {
			return err
		}
		if i > 0 {
			options = append(options, "--replicaof", "127.0.0.1 "+strconv.Itoa(r.Nodes[0].port))
		}
		s, err := Launch(Redis(path, home, options...))
		if err != nil {
			return err
		}
		r.Nodes = append(r.Nodes, s)
	}
	if err := until(r.replicates); err != nil {
		return fmt.Errorf("the replica has no copy: %w", err)
	}
	for i := range sentinels {
		home, err := subdirectory(dir, fmt.Sprint("sentinel-", i))
		if err != nil {
			return err
		}
		spec, err := sentinel(path, home, r.Nodes[0].port)
		if err != nil {
			return err
		}
		s, err := Launch(spec)
		if err != nil {
			return err
		}
		r.Sentinels = append(r.Sentinels, s)
	}
	if err := until(r.Whole); err != nil {
		return fmt.Errorf("the Sentinels did not find one another: %w", err)
	}
	return nil
}

// URL is what clients are given.
func (r *SentinelRedis) URL() string {
	url := "redis://" + Address(r.Sentinels[0].port) + "/0?master_name=" + masterName
	for _, s := range r.Sentinels[1:] {
		url += "&addr=" + Address(s.port)
	}
	return url
}

// Close ends everything.
func (r *SentinelRedis) Close() {
	for _, s := range append(r.Sentinels, r.Nodes...) {
		s.Close()
	}
}

// Master is the node that a Sentinel takes for the master. It is an error while no
// Sentinel answers.
func (r *SentinelRedis) Master() (*Service, error) {
	var errs []error
	for _, s := range r.Sentinels {
		view, err := viewOf(s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, n := range r.Nodes {
			if Address(n.port) == view.master {
				return n, nil
			}
		}
		return nil, fmt.Errorf("the Sentinels' master %s is not of this group", view.master)
	}
	return nil, errors.Join(errs...)
}

// Whole reports, as an error, what a failover would lack: a Sentinel that does not see
// the master, the replica and its fellows, or does nothing as its clock has jumped (TILT),
// or a replica without a copy.
func (r *SentinelRedis) Whole() error {
	for _, s := range r.Sentinels {
		view, err := viewOf(s)
		if err != nil {
			return err
		}
		if view.tilt || view.status != "ok" || view.replicas != len(r.Nodes)-1 || view.sentinels != len(r.Sentinels) {
			return fmt.Errorf("a Sentinel sees %+v", view)
		}
	}
	return r.replicates()
}

// replicates reports whether one of the two nodes has a copy of the other.
func (r *SentinelRedis) replicates() error {
	for _, n := range r.Nodes {
		if text, err := info(n, "replication"); err != nil {
			return err
		} else if strings.Contains(text, "master_link_status:up") {
			return nil
		}
	}
	return errors.New("no node replicates the other")
}

// sentinel tells how to run a Sentinel that watches the Redis at a port. It remembers
// what it learnt over Kill and Start.
func sentinel(path, dir string, master int) (Spec, error) {
	file := filepath.Join(dir, "sentinel.conf")
	config := strings.Join([]string{
		"bind 127.0.0.1",
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", masterName, master, sentinels/2+1),
		"sentinel down-after-milliseconds " + masterName + " 1000",
		"sentinel failover-timeout " + masterName + " 5000",
		"",
	}, "\n")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return Spec{}, fmt.Errorf("configure a Sentinel: %w", err)
	}
	return Spec{
		Name: "sentinel",
		Path: path,
		Args: func(port int) []string {
			return []string{file, "--port", strconv.Itoa(port), "--sentinel"}
		},
		Ready: "+monitor master " + masterName,
		Stop:  syscall.SIGTERM,
		Dir:   dir,
		URL:   func(port int) string { return "redis://" + Address(port) },
	}, nil
}

// view is what a Sentinel knows.
type view struct {
	tilt                bool
	status, master      string
	replicas, sentinels int
}

var viewLine = regexp.MustCompile(`master0:name=[^,]+,status=([^,]+),address=([^,]+),slaves=(\d+),sentinels=(\d+)`)

func viewOf(s *Service) (view, error) {
	text, err := info(s, "sentinel")
	if err != nil {
		return view{}, err
	}
	m := viewLine.FindStringSubmatch(text)
	if m == nil {
		return view{}, fmt.Errorf("a Sentinel watches nothing: %q", text)
	}
	v := view{tilt: !strings.Contains(text, "sentinel_tilt:0"), status: m[1], master: m[2]}
	v.replicas, _ = strconv.Atoi(m[3]) // digits
	v.sentinels, _ = strconv.Atoi(m[4])
	return v, nil
}

// info asks a Redis or a Sentinel for a section of what it tells about itself.
func info(s *Service, section string) (string, error) {
	c, err := net.DialTimeout("tcp", Address(s.port), time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "INFO %s\r\n", section); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	header, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	size, err := strconv.Atoi(strings.Trim(header, "$\r\n"))
	if err != nil {
		return "", fmt.Errorf("%s answers INFO with %q", s.Name(), header)
	}
	text := make([]byte, size)
	_, err = io.ReadFull(r, text)
	return string(text), err
}

// until asks again and again, for a minute at most, until there is no error.
func until(whole func() error) error {
	patience, again := time.NewTimer(readyTimeout), time.NewTicker(pollEvery)
	defer patience.Stop()
	defer again.Stop()
	for {
		err := whole()
		if err == nil {
			return nil
		}
		select {
		case <-patience.C:
			return err
		case <-again.C:
		}
	}
}

// subdirectory makes a directory in dir.
func subdirectory(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.MkdirAll(path, 0o700)
}
