//go:build cgo

package main

// #include <unistd.h>
import "C"

// touchLibc calls into libc once, so that a cgo build is really linked with it.
func touchLibc() {
	_ = C.getpid()
}
