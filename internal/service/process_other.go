//go:build !linux

package service

import "syscall"

// attributes leaves a child to itself when this process is killed: only Linux can
// tie their deaths.
func attributes(as *Account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential(), Setpgid: true}
}
