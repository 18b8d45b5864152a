// Package capture records call stacks and prints them as the runtime sees them.
package capture

import (
	"runtime"
	"sync"
)

// Frame is one logical frame, as of runtime.CallersFrames.
type Frame struct {
	Func string `json:"func"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// Stack is a return address and the logical frames there: all but the last were inlined. As with
// runtime.Callers, the call belongs to PC-1.
type Stack struct {
	Case   string  `json:"case"`
	PC     uintptr `json:"pc"`
	Entry  uintptr `json:"entry"` // of the function that the last frame names
	Frames []Frame `json:"frames"`
}

// Point is an address anywhere in a function and the innermost frame there (at PC, not PC-1).
type Point struct {
	PC uintptr `json:"pc"`
	Frame
}

// recorded holds the return addresses of one call of Here.
type recorded struct {
	label string
	pcs   []uintptr
}

var (
	mutex sync.Mutex
	all   []recorded
)

// Here records the stack of its caller. It is never inlined, so that its caller may be.
//
//go:noinline
func Here(label string) {
	pcs := make([]uintptr, 64)
	pcs = pcs[:runtime.Callers(2, pcs)]
	mutex.Lock()
	defer mutex.Unlock()
	all = append(all, recorded{label, pcs})
}

// Stacks returns what was recorded, one entry for each distinct return address.
func Stacks() []Stack {
	mutex.Lock()
	defer mutex.Unlock()
	seen := map[uintptr]bool{}
	var stacks []Stack
	for _, r := range all {
		for _, stack := range r.physical() {
			if !seen[stack.PC] {
				seen[stack.PC] = true
				stacks = append(stacks, stack)
			}
		}
	}
	return stacks
}

// physical splits a recorded stack. The runtime gives one address per logical frame, made up for
// the callers of inlined functions; the frame with a Func ends a group that shares one physical
// frame. The made-up addresses lie in the same function and say the same about the frames further
// out, so each suffix of a group is an entry of its own. A group whose end the runtime hides (a
// compiler-made wrapper) is left out.
func (r recorded) physical() []Stack {
	var stacks, group []Stack
	for _, pc := range r.pcs {
		frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		if len(group) > 0 && group[0].Entry != frame.Entry {
			group = nil
		}
		group = append(group, Stack{Case: r.label, PC: pc, Entry: frame.Entry})
		for i := range group {
			group[i].Frames = append(group[i].Frames, Frame{frame.Function, frame.File, frame.Line})
		}
		if frame.Func != nil {
			stacks, group = append(stacks, group...), nil
		}
	}
	return stacks
}

// pointsPerFunction and stride bound the output; the stride is odd so that it meets all kinds of
// boundaries.
const (
	pointsPerFunction = 24
	stride            = 13
)

// Points walks through the functions of the stacks.
func Points(stacks []Stack) []Point {
	seen := map[uintptr]bool{}
	var points []Point
	for _, stack := range stacks {
		if !seen[stack.Entry] {
			seen[stack.Entry] = true
			points = append(points, walk(stack.Entry)...)
		}
	}
	return points
}

func walk(entry uintptr) []Point {
	var points []Point
	for pc := entry; len(points) < pointsPerFunction; pc += stride {
		function := runtime.FuncForPC(pc)
		if function == nil || function.Entry() != entry {
			break
		}
		frame, _ := runtime.CallersFrames([]uintptr{pc + 1}).Next()
		if frame.Line == 0 {
			break // padding behind the function
		}
		points = append(points, Point{pc, Frame{frame.Function, frame.File, frame.Line}})
	}
	return points
}
