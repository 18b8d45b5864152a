// Command profileapp spends its time in known ways, and profiles itself so that others can be compared:
// on SIGUSR1 it writes a profile of its processor time, as Go takes it, and prints "profiled".
//
//	-own FILE  where that profile goes, and -for how long it is taken
//	-work      computes, allocates, reads the clock and calls the kernel
//	-recurse   calls itself a thousand levels deep, and computes there
//	-grow      has its stacks grow all the time
//	-callc     computes in C, and in Go that C calls (builds with cgo)
//	-keep      keeps 64 MiB of memory, of which 16 in small objects
//	-assembly  computes in functions written in assembly
//	-signalled computes and reads the clock while it sends signals to itself
//	-blocked   a system call that blocks all the time
//	-wait      goroutines that wait for a lock, a channel, a timer and a pipe
//	-sample    SetBlockProfileRate and SetMutexProfileFraction
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"

	"gotap/apps/profileapp/assembly"
)

// callc is set in builds with cgo.
var callc = func() { panic("built without cgo") }

func main() {
	own := flag.String("own", "", "file for its own profile")
	length := flag.Duration("for", time.Second, "how long that is taken")
	work := flag.Bool("work", false, "compute, allocate, read the clock and call the kernel")
	recurse := flag.Bool("recurse", false, "call itself a thousand levels deep")
	grow := flag.Bool("grow", false, "have stacks grow")
	c := flag.Bool("callc", false, "compute in C")
	keep := flag.Bool("keep", false, "keep memory")
	assembly := flag.Bool("assembly", false, "compute in assembly")
	signalled := flag.Bool("signalled", false, "handle signals")
	blocked := flag.Bool("blocked", false, "block in a system call")
	wait := flag.Bool("wait", false, "wait in several ways")
	sample := flag.Bool("sample", false, "sample waits")
	flag.Parse()

	asked := make(chan os.Signal, 8)
	signal.Notify(asked, syscall.SIGUSR1)
	if *sample {
		runtime.SetBlockProfileRate(1)
		runtime.SetMutexProfileFraction(1)
	}
	works := map[*bool]func(){
		work: workAll, recurse: recurseAll, grow: growAll, c: callc, blocked: blockInKernel,
		assembly: assemblyAll, signalled: signalledAll,
	}
	for enabled, f := range works {
		if *enabled {
			go f()
		}
	}
	if *keep {
		keepLarge()
		keepSmall()
	}
	if *wait {
		waitAll()
	}
	fmt.Println("ready")
	for range asked {
		profileItself(*own, *length)
	}
}

func profileItself(path string, length time.Duration) {
	file, err := os.Create(path)
	if err == nil {
		// StartCPUProfile says that it can't set its own rate, and goes on with this one.
		runtime.SetCPUProfileRate(500)
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	time.Sleep(length)
	pprof.StopCPUProfile()
	file.Close()
	for _, name := range []string{"allocs", "heap", "mutex", "block"} {
		out, err := os.Create(path + "." + name)
		if err == nil {
			err = pprof.Lookup(name).WriteTo(out, 0)
			out.Close()
		}
		if err != nil {
			fmt.Println("failed:", err)
			return
		}
	}
	fmt.Println("profiled")
}

// sink keeps results from being optimised away.
var sink uint64

func workAll() {
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	for {
		sink += hot(4000)
		sink += callsInlined(2500)
		sink += large(uint64(sink), 500)
		allocate()
		readClock()
		callKernel(null)
	}
}

//go:noinline
func hot(n int) uint64 {
	return spin(n)
}

// spin is inlined into its callers.
func spin(n int) uint64 {
	var x uint64 = 88172645463325252
	for i := 0; i < n; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

//go:noinline
func callsInlined(n int) uint64 {
	return spin(n) + 1
}

// large is too large to be inlined, but for a compiler that knows that it is hot.
func large(x uint64, n int) uint64 {
	for i := 0; i < n; i++ {
		x = mixAll(x) + uint64(i)
	}
	return x
}

func mixAll(x uint64) uint64 {
	x = x*3 + x>>3 ^ x<<5
	x = x*5 + x>>5 ^ x<<7
	x = x*7 + x>>7 ^ x<<9
	x = x*9 + x>>9 ^ x<<11
	x = x*11 + x>>11 ^ x<<13
	x = x*13 + x>>13 ^ x<<15
	x = x*15 + x>>15 ^ x<<17
	x = x*17 + x>>17 ^ x<<19
	x = x*19 + x>>19 ^ x<<21
	x = x*21 + x>>21 ^ x<<23
	x = x*23 + x>>23 ^ x<<25
	return x
}

var kept [64][]byte

//go:noinline
func allocate() {
	for i := range kept {
		kept[i] = make([]byte, 512)
	}
}

// all is kept.
var all [][]byte

//go:noinline
func keepLarge() {
	for i := 0; i < 48; i++ {
		all = append(all, make([]byte, 1<<20))
	}
}

//go:noinline
func keepSmall() {
	for i := 0; i < 16<<10; i++ {
		all = append(all, make([]byte, 1<<10))
	}
}

//go:noinline
func readClock() {
	for i := 0; i < 50; i++ {
		sink += uint64(time.Now().UnixNano())
	}
}

//go:noinline
func callKernel(null *os.File) {
	data := []byte("x")
	for i := 0; i < 10; i++ {
		null.Write(data)
	}
}

func recurseAll() {
	for {
		sink += descend(1000)
	}
}

//go:noinline
func descend(levels int) uint64 {
	if levels == 0 {
		return spin(20_000_000)
	}
	return descend(levels-1) + 1
}

//go:noinline
func blockInKernel() {
	for {
		pause := syscall.NsecToTimespec(50_000_000)
		syscall.Nanosleep(&pause, nil)
	}
}

func growAll() {
	for {
		done := make(chan bool)
		go func() {
			sink += needsRoom(12)
			close(done)
		}()
		<-done
	}
}

//go:noinline
func needsRoom(levels int) uint64 {
	var room [4096]byte
	if levels == 0 {
		return uint64(room[17])
	}
	return needsRoom(levels-1) + uint64(room[levels])
}

// writers are kept, so that nobody who reads sees an end.
var writers []*os.File

func waitAll() {
	var mutex sync.Mutex
	channel := make(chan int)
	for i := 0; i < 2; i++ {
		go func() {
			for {
				holdLock(&mutex)
			}
		}()
	}
	go func() {
		for {
			time.Sleep(5 * time.Millisecond)
			channel <- 1
		}
	}()
	go receiveAll(channel)
	reader, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	writers = append(writers, writer)
	go reader.Read(make([]byte, 1))
}

//go:noinline
func holdLock(mutex *sync.Mutex) {
	mutex.Lock()
	time.Sleep(2 * time.Millisecond)
	mutex.Unlock()
}

//go:noinline
func receiveAll(channel chan int) {
	for range channel {
	}
}

// signalledAll reads the clock in a thread that another one sends signals to.
func signalledAll() {
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR2)
	runtime.LockOSThread()
	pid, thread := uintptr(os.Getpid()), uintptr(syscall.Gettid())
	go func() {
		for {
			syscall.RawSyscall(syscall.SYS_TGKILL, pid, thread, uintptr(syscall.SIGUSR2))
		}
	}()
	for {
		readClock()
	}
}

func assemblyAll() {
	for {
		sink += assembly.Leaf(20_000) + assembly.Borrows(20_000) + assembly.Pushes(20_000)
		sink += assembly.Calls(20_000) + assembly.Moves(20_000) + assembly.MovesAndCalls(20_000)
	}
}
