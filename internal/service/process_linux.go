package service

import "syscall"

// attributes makes a child die with this process, even if that is killed.
func attributes(as *Account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential(), Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
