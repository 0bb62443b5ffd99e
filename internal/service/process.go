package service

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// Account is a user of this machine. A nil one is who runs this process.
type Account struct{ uid, gid int }

// Unprivileged is the account for programs that refuse to run as root: nil when this
// process does not run as root.
func Unprivileged() (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("account for a service: %w", err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		return nil, fmt.Errorf("account for a service: %+v is not numeric", u)
	}
	return &Account{uid: uid, gid: gid}, nil
}

// Own gives a file or directory to the account.
func (a *Account) Own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

func (a *Account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), NoSetGroups: false}
}

// process is a started command that is waited for.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it was waited for
}

// spawn starts a command. The goroutine keeps its thread until the command has
// ended: Linux ties a child's death to that of the thread that started it.
func spawn(cmd *exec.Cmd, as *Account) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	cmd.SysProcAttr = attributes(as)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// kill ends the process and returns when it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL) // an error means that it is gone
	<-p.exited
}
