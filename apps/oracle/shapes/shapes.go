// Package shapes has types with all the kinds of fields that a reader of layouts must understand.
package shapes

import (
	"sync"
	"time"
	"unsafe"
)

// Point is a plain struct.
type Point struct{ X, Y int32 }

// Base is embedded by value and has an unexported field.
type Base struct {
	ID   uint64
	name string
}

// Extra is embedded by pointer.
type Extra struct{ Note []byte }

// Everything has one field of every kind.
type Everything struct {
	Base
	*Extra
	Nested struct {
		A int8
		B Point
	}
	Array      [3]Point
	Empty      [0]int64
	Slice      []string
	Map        map[string]*Point
	Send       chan<- int
	Receive    <-chan Point
	Func       func(int, ...string) (Point, error)
	Any        interface{}
	Err        error
	Tagged     string `json:"tagged,omitempty" db:"t"`
	unexported bool
	Complex    complex64
	Pointer    unsafe.Pointer
	Word       uintptr
	Rune       rune
	When       time.Time
	lock       sync.RWMutex
}

// Padded needs padding in the middle and at its end.
type Padded struct {
	A bool
	B int64
	C bool
	D int16
	E byte
	F complex128
	G bool
}

// ZeroTail ends in a field of size zero, behind which the compiler adds a byte of padding.
type ZeroTail struct {
	N    int32
	tail struct{}
}

// None has no fields.
type None struct{}

// Tree refers to itself.
type Tree struct {
	left, right *Tree
	children    []Tree
	parent      func() *Tree
}

// Pair is generic in two parameters, List in one.
type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

// List is a generic list whose elements are generic, too.
type List[T any] struct {
	first *Pair[string, T]
	len   int
}

// Celsius is no struct.
type Celsius float64

// use keeps the unexported fields from being unused.
func (e *Everything) use() bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	return e.unexported || e.name == ""
}

// Values returns one value of each type, on the heap and behind an interface.
func Values() []interface{} {
	everything := &Everything{Extra: &Extra{}}
	everything.unexported = everything.use()
	tree := &Tree{left: &Tree{}, children: make([]Tree, 1)}
	tree.parent = func() *Tree { return tree.right }
	celsius := Celsius(21)
	return []interface{}{
		&Point{}, &Base{}, &Extra{}, everything, &Padded{}, &ZeroTail{tail: struct{}{}}, &None{}, tree,
		&Pair[int, string]{}, &Pair[Point, []Celsius]{},
		&List[Point]{first: &Pair[string, Point]{}, len: 1},
		&celsius,
	}
}
