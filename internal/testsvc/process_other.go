//go:build !linux

package testsvc

import "syscall"

// attributes leaves a child to itself when the test process is killed: only Linux
// can tie their deaths.
func attributes(as *account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential()}
}
