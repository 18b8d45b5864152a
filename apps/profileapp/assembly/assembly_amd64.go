package assembly

// Leaf has no frame.
func Leaf(n int) uint64

// Borrows has no frame, and uses the frame pointer's register for something else.
func Borrows(n int) uint64

// Pushes has no frame but what it pushes.
func Pushes(n int) uint64

// Calls has a frame, and calls Go.
func Calls(n int) uint64

// Moves changes the stack pointer in a way that no table tells.
func Moves(n int) uint64

// MovesAndCalls does the same, and calls another function then.
func MovesAndCalls(n int) uint64
