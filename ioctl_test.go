package assetmatrix

import (
	"syscall"
	"unsafe"
)

// ioctl is ioctl(2) with a pointer to four bytes.
func ioctl(fd, request uintptr, arg *[4]byte) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(arg))); errno != 0 {
		return errno
	}
	return nil
}
