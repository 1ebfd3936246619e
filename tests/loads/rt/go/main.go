// Holds memory that is in use and garbage that nobody has collected yet, and watches over the
// first: what looks into this program or makes it collect must not harm it.
//
//	goheap -keep 8 -garbage 150 [-idle]
//
// Says "ready PID PORT" and then answers the lines of its standard input: "ping", "stats", "make N"
// (N MB more garbage), "limit N" (sets its own soft limit), "quit".
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const mib = 1 << 20

var (
	kept    [][]byte
	sums    []uint32
	held    [][]byte
	checked uint64
	broken  uint64
	made    uint64
	sink    []byte
	serve   func(net.Listener)
)

func fill(b []byte, seed uint64) {
	for i := 0; i+8 <= len(b); i += 8 {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		for k := 0; k < 8; k++ {
			b[i+k] = byte(seed >> (8 * k))
		}
	}
}

func keep(amount int) {
	for i := 0; i < amount; i++ {
		b := make([]byte, mib)
		fill(b, uint64(i)*2654435761+88172645463325252)
		kept = append(kept, b)
		sums = append(sums, crc32.ChecksumIEEE(b))
	}
}

func check() {
	for i, b := range kept {
		if crc32.ChecksumIEEE(b) != sums[i] {
			atomic.AddUint64(&broken, 1)
		}
		atomic.AddUint64(&checked, 1)
	}
}

// Objects of 32 KB and of 1 MB, all in use until the last is made: then they are garbage at once.
func garbage(amount int) {
	for i := 0; i < amount; i++ {
		pieces, size := 1, mib
		if i%4 == 0 {
			pieces, size = 32, mib/32
		}
		for k := 0; k < pieces; k++ {
			b := make([]byte, size)
			for at := 0; at < size; at += 4096 {
				b[at] = 1
			}
			held = append(held, b)
		}
	}
	held = nil
}

func work() {
	for {
		check()
		for i := 0; i < 2; i++ {
			sink = make([]byte, 4096)
			made++
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func stats() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, _ := json.Marshal(map[string]uint64{
		"heap_alloc": m.HeapAlloc, "heap_sys": m.HeapSys, "heap_idle": m.HeapIdle,
		"heap_inuse": m.HeapInuse, "heap_released": m.HeapReleased, "gc_count": uint64(m.NumGC),
		"pause_ns": m.PauseTotalNs, "goroutines": uint64(runtime.NumGoroutine()),
		"limit": uint64(debug.SetMemoryLimit(-1)), "next_gc": m.NextGC,
	})
	fmt.Println(string(text))
}

func answer(line string) bool {
	var n int64
	switch {
	case line == "ping":
		check()
		fmt.Println("pong", atomic.LoadUint64(&checked), atomic.LoadUint64(&broken))
	case line == "stats":
		stats()
	case scan(line, "make %d", &n):
		garbage(int(n))
		fmt.Println("made")
	case scan(line, "limit %d", &n):
		debug.SetMemoryLimit(n)
		fmt.Println("set")
	default:
		return false
	}
	return true
}

func scan(line, format string, n *int64) bool {
	got, _ := fmt.Sscanf(line, format, n)
	return got == 1
}

func main() {
	keepMB := flag.Int("keep", 8, "MB in use")
	garbageMB := flag.Int("garbage", 150, "MB of garbage")
	idle := flag.Bool("idle", false, "do nothing at all")
	sleepers := flag.Int("sleepers", 0, "goroutines that wait for ever")
	flag.Parse()
	port := 0
	if serve != nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		port = l.Addr().(*net.TCPAddr).Port
		go serve(l)
	}
	for i := 0; i < *sleepers; i++ {
		go func() { select {} }()
	}
	keep(*keepMB)
	runtime.GC()
	garbage(*garbageMB)
	if !*idle {
		go work()
	}
	fmt.Println("ready", os.Getpid(), port)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && answer(in.Text()) {
	}
}
