package service

import (
	"os/exec"
	"path/filepath"
)

// Find looks for a program in PATH, then where Debian keeps PostgreSQL and the
// daemons, which are not in everybody's PATH. Of several versions it takes the
// highest by name.
func Find(name string) (path string, ok bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/", "/usr/sbin/", "/usr/local/sbin/"} {
		paths, err := filepath.Glob(pattern + name)
		if err == nil && len(paths) > 0 {
			return paths[len(paths)-1], true
		}
	}
	return "", false
}
