package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoCompiler is returned when the programs in C cannot be built.
var ErrNoCompiler = errors.New("no C compiler: the client and the bare loop are written in C; install gcc or clang as cc")

// Programs builds what is not Go and keeps it in a directory of the user's cache.
type Programs struct {
	Sources fs.FS  // holds c/*.c and node/*
	Dir     string // where what is built is kept
}

// C builds a program of c/ unless that was done before, and returns its path.
func (p Programs) C(ctx context.Context, name string) (string, error) {
	sources, err := fs.Sub(p.Sources, "c")
	if err != nil {
		return "", err
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", ErrNoCompiler
	}
	sum, err := sumOf(sources)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.Dir, "c-"+sum)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	part := fmt.Sprintf("%s.%d", dir, os.Getpid()) // another harness may build at the same time
	defer func() { _ = os.RemoveAll(part) }()
	if err := os.CopyFS(part, sources); err != nil {
		return "", err
	}
	built := filepath.Join(part, name)
	out, err := exec.CommandContext(ctx, cc, "-O2", "-Wall", "-Wextra", "-o", built, built+".c").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return path, os.Rename(built, path)
}

// ErrNoNode is returned when the servers in JavaScript cannot be run.
var ErrNoNode = errors.New("no Node: install node and npm for Node ws and socket.io")

// Node installs what package-lock.json names unless that was done before, and returns the directory of the scripts.
func (p Programs) Node(ctx context.Context) (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", ErrNoNode
		}
	}
	scripts, err := fs.Sub(p.Sources, "node")
	if err != nil {
		return "", err
	}
	sum, err := sumOf(scripts)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.Dir, "node-"+sum)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	part := fmt.Sprintf("%s.%d", dir, os.Getpid())
	defer func() { _ = os.RemoveAll(part) }()
	if err := os.CopyFS(part, scripts); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = part
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(part, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, nil
}

// sumOf is a hash of the names and contents of all files.
func sumOf(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}
