package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Directory is a Store of files, on a disk that all room servers reach, or of segments
// that were copied away. It must exist.
type Directory string

// List implements Store.
func (d Directory) List(context.Context) ([]Segment, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("list archive: %w", err)
	}
	var list []Segment
	for _, e := range entries {
		if s, ok := ParseName(e.Name()); ok {
			list = append(list, s)
		}
	}
	return list, nil
}

// Put implements Store. The segment is on the disk when it returns.
func (d Directory) Put(_ context.Context, s Segment, contents []byte) (err error) {
	f, err := os.CreateTemp(string(d), ".segment-*")
	if err != nil {
		return fmt.Errorf("store %v: %w", s, err)
	}
	_, err = f.Write(contents)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(string(d), s.Name()))
	}
	if err != nil {
		return fmt.Errorf("store %v: %w", s, errors.Join(err, os.Remove(f.Name())))
	}
	return d.sync()
}

// sync writes the names of the files to the disk.
func (d Directory) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return fmt.Errorf("synchronise archive: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("synchronise archive: %w", err)
	}
	return nil
}

// Get implements Store.
func (d Directory) Get(_ context.Context, s Segment) ([]byte, error) {
	contents, err := os.ReadFile(filepath.Join(string(d), s.Name()))
	if err != nil {
		return nil, fmt.Errorf("read %v: %w", s, err)
	}
	return contents, nil
}
