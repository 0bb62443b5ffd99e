package fanout

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawSupported tells whether sendNow works on this system.
const rawSupported = true

// sendNow writes what the socket takes at this moment: fewer bytes than given, or none,
// means that its buffer is full. It does not enter the scheduler, which is a tenth of the
// whole cost of a frame, and is safe because the call never blocks.
func sendNow(fd int32, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// unacknowledged is how many bytes in the socket's send buffer the peer's kernel has not
// acknowledged.
func unacknowledged(fd int32) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
