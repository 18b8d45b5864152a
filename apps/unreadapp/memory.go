package main

import (
	"log"
	"os"
	"syscall"
	"unsafe"
)

const pageSize = 4096

// pages is memory of a file. What lies in it is there for the program at any time; for somebody who may not wait
// for a page, only while that page is mapped.
var pages = newPages()

func newPages() []byte {
	file, err := os.CreateTemp("", "unreadapp")
	if err != nil {
		log.Fatal(err)
	}
	os.Remove(file.Name())
	if err := file.Truncate(16 * pageSize); err != nil {
		log.Fatal(err)
	}
	prot := syscall.PROT_READ | syscall.PROT_WRITE
	mapped, err := syscall.Mmap(int(file.Fd()), 0, 16*pageSize, prot, syscall.MAP_SHARED)
	if err != nil {
		log.Fatal(err)
	}
	return mapped
}

// next is where the next value is placed.
var next int

// place gives a small value a page of its own. It must hold no pointers of Go's.
func place[T any](value T) *T {
	at := (*T)(unsafe.Pointer(&pages[next]))
	next = (next + pageSize) % len(pages)
	*at = value
	return at
}

// text is a string whose bytes have a page of their own.
func text(value string) string {
	at := place([64]byte{})
	copy(at[:], value)
	return unsafe.String(&at[0], len(value))
}

// hide takes all pages out of the process's tables. The program's next look at one brings it back.
func hide() {
	if err := syscall.Madvise(pages, syscall.MADV_DONTNEED); err != nil {
		log.Fatal(err)
	}
}
