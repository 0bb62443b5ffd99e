package service

import (
	"io"
	"strings"
	"testing"
)

// A service whose process ends at once is an error, not a wait.
func TestServiceThatEnds(t *testing.T) {
	path, ok := Find("false")
	if !ok {
		t.Fatal("there is no program false")
	}
	s := New(Spec{Name: "false", Path: path, Dir: t.TempDir(), Ready: "never", Args: func(int) []string { return nil }}, 0)
	if err := s.Start(); err == nil || !strings.Contains(err.Error(), "ended before it was ready") {
		t.Errorf("start: %v", err)
	}
}

// The ready text may come in pieces, and only what comes after expect counts.
func TestOutputNoticesReady(t *testing.T) {
	o := &output{}
	write := func(s string) {
		if _, err := io.WriteString(o, s); err != nil {
			t.Fatal(err)
		}
	}
	isReady := func() bool {
		select {
		case <-o.ready():
			return true
		default:
			return false
		}
	}
	write("is ready")
	o.expect("is ready")
	write(strings.Repeat("x", keptOutput) + " is r")
	if isReady() {
		t.Error("ready before it was said")
	}
	write("eady now")
	if !isReady() {
		t.Error("not noticed")
	}
	if n := len(o.tail()); n != keptOutput {
		t.Errorf("kept %d bytes", n)
	}
}
