//go:build !amd64

package assembly

func Leaf(n int) uint64          { return spin(n) }
func Borrows(n int) uint64       { return spin(n) }
func Pushes(n int) uint64        { return spin(n) }
func Calls(n int) uint64         { return spin(n) }
func Moves(n int) uint64         { return spin(n) }
func MovesAndCalls(n int) uint64 { return spin(n) }
