package testsvc

import "syscall"

// attributes makes a child die with the test process, even if that is killed.
func attributes(as *account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: as.credential(), Pdeathsig: syscall.SIGKILL}
}
