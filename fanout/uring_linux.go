package fanout

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring sends to up to uringEntries sockets in one system call, by io_uring. Sends do not
// wait for a socket (MSG_DONTWAIT), so all of them have completed when the call returns.
// The kernel's interface is that of io_uring(7), as of Linux 5.6; no flag of a later one
// is needed for that.
type uring struct {
	file   *os.File // Static. Holds fd.
	fd     uintptr  // Static.
	queues []byte   // Static. Both queues, shared with the kernel.
	memory []byte   // Static. What sqes is.
	sqes   []uringSend
	cqes   []uringDone
	sqTail *uint32
	cqHead *uint32
	cqTail *uint32 // written by the kernel
}

// uringEntries is how many sends go out in one system call. More would save next to
// nothing, and lock connections for longer: 256 sends take about a millisecond.
const uringEntries = 256

// What of linux/io_uring.h is used.
const (
	uringOffSQEs       = 0x10000000
	uringFeatSingleMap = 1 << 0
	uringEnterGet      = 1 << 0
	uringOpSend        = 26
)

// uringSend is struct io_uring_sqe for a send.
type uringSend struct {
	opcode, flags uint8
	priority      uint16
	fd            int32
	offset        uint64
	address       uint64
	length        uint32
	sendFlags     uint32
	userData      uint64
	_             [3]uint64
}

// uringDone is struct io_uring_cqe.
type uringDone struct {
	userData uint64
	result   int32
	flags    uint32
}

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, workers uint32

	_  [3]uint32
	sq struct{ head, tail, mask, entries, flags, dropped, array, _, _, _ uint32 }
	cq struct{ head, tail, mask, entries, overflow, cqes, flags, _, _, _ uint32 }
}

// openUring makes a uring and tries it out.
func openUring() (sender, error) {
	u, err := newUring()
	if err != nil {
		return nil, fmt.Errorf("fanout: io_uring: %w", err)
	}
	if err := u.try(); err != nil {
		u.close()
		return nil, fmt.Errorf("fanout: io_uring: %w", err)
	}
	return u, nil
}

func newUring() (*uring, error) {
	var p uringParams
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uringEntries, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, errno
	}
	u := &uring{fd: fd, file: os.NewFile(fd, "io_uring")}
	if err := u.share(&p); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// share maps the memory that the kernel reads and writes.
func (u *uring) share(p *uringParams) (err error) {
	if p.features&uringFeatSingleMap == 0 {
		return unix.ENOSYS
	}
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(uringDone{})))
	const access, kind = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if u.queues, err = unix.Mmap(int(u.fd), 0, int(size), access, kind); err != nil {
		return err
	}
	if u.memory, err = unix.Mmap(int(u.fd), uringOffSQEs, int(p.sqEntries)*int(unsafe.Sizeof(uringSend{})), access, kind); err != nil {
		return err
	}
	word := func(at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&u.queues[at])) }
	u.sqTail, u.cqHead, u.cqTail = word(p.sq.tail), word(p.cq.head), word(p.cq.tail)
	u.sqes = unsafe.Slice((*uringSend)(unsafe.Pointer(&u.memory[0])), p.sqEntries)
	u.cqes = unsafe.Slice((*uringDone)(unsafe.Pointer(&u.queues[p.cq.cqes])), p.cqEntries)
	for i, slots := 0, unsafe.Slice(word(p.sq.array), p.sqEntries); i < len(slots); i++ {
		slots[i] = uint32(i) // entry i of the queue is always sqes[i]
	}
	return nil
}

// try sends one byte over a pair of sockets.
func (u *uring) try() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	took := []int32{-1}
	if err := u.submit([]byte{1}, []int32{int32(pair[0])}, took, new(int)); err != nil {
		return err
	}
	var got [2]byte
	n, _, err := unix.Recvfrom(pair[1], got[:], unix.MSG_DONTWAIT)
	if err != nil {
		return err
	}
	if n != 1 || took[0] != 1 {
		return unix.EIO
	}
	return nil
}

func (u *uring) most() int { return len(u.sqes) }

func (u *uring) send(p []byte, fds, took []int32) (calls int) {
	if len(fds) == 1 { // alone it costs more than a plain call
		return plainSender{}.send(p, fds, took)
	}
	for i := range fds {
		took[i] = unsent
	}
	if u.submit(p, fds, took, &calls) == nil {
		return calls
	}
	// The kernel has refused at least one. What it has taken has completed.
	for i := range fds {
		if took[i] == unsent {
			calls += plainSender{}.send(p, fds[i:i+1], took[i:i+1])
		}
	}
	return calls
}

// unsent marks what the kernel has not been given.
const unsent = -2

// submit sends p to fds and waits until all sends have completed. After an error those
// that the kernel took have completed, and took of the others is as before.
func (u *uring) submit(p []byte, fds, took []int32, calls *int) error {
	mask := uint32(len(u.sqes) - 1)
	head := *u.sqTail // nothing is left of an earlier call
	for i, fd := range fds {
		u.sqes[(head+uint32(i))&mask] = uringSend{
			opcode: uringOpSend, fd: fd, userData: uint64(i),
			address: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(p)))), length: uint32(len(p)),
			sendFlags: unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL,
		}
	}
	atomic.StoreUint32(u.sqTail, head+uint32(len(fds)))
	var refused error
	given, done := 0, 0
	for done < given || given < len(fds) && refused == nil {
		want := len(fds)
		if refused != nil {
			want = given
		}
		*calls++
		// Go's scheduler is not told: it would watch each of these calls, which take up
		// to 2 ms, from a thread of its own, and that took a tenth of the gateway's CPU.
		// A collection of garbage waits for them.
		n, _, errno := syscall.RawSyscall6(unix.SYS_IO_URING_ENTER, u.fd, uintptr(want-given), uintptr(want-done), uringEnterGet, 0, 0)
		switch errno {
		case 0:
			given += int(n)
		case unix.EINTR:
		default:
			if refused != nil {
				panic("fanout: io_uring does not tell what has become of sends: " + errno.Error())
			}
			refused = errno
			atomic.StoreUint32(u.sqTail, head+uint32(given))
		}
		done += u.reap(took)
	}
	runtime.KeepAlive(p)
	return refused
}

// reap takes the results that are there.
func (u *uring) reap(took []int32) int {
	mask := uint32(len(u.cqes) - 1)
	head, tail := *u.cqHead, atomic.LoadUint32(u.cqTail)
	for at := head; at != tail; at++ {
		done := &u.cqes[at&mask]
		n := done.result
		switch {
		case n == -int32(unix.EAGAIN), n == -int32(unix.EINTR):
			n = 0
		case n < 0:
			n = -1
		}
		took[done.userData] = n
	}
	atomic.StoreUint32(u.cqHead, tail)
	return int(tail - head)
}

func (u *uring) close() {
	err := u.file.Close()
	for _, m := range [][]byte{u.queues, u.memory} {
		if m != nil {
			err = errors.Join(err, unix.Munmap(m))
		}
	}
	if err != nil {
		panic("fanout: io_uring: " + err.Error())
	}
}
