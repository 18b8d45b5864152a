//go:build cgo

// go-sqlite3 is SQLite itself, in C.

package main

import _ "github.com/mattn/go-sqlite3"
