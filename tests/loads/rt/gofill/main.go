// gofill fills its memory up to a size and drops a part of it again, as services with a cache do,
// and writes a line a tick: who reads them sees whether it runs, and for how long it did not.
//
//	gofill [-tick MS] [-step US] [-drop PERCENT] [-seconds N] MIB
//	gofill [-tick MS] -until MIB -text FILE [-threads N] MIB
//
// A block of 1 MiB is kept each step; at MIB a percentage of them is dropped. With -until it takes
// so many blocks without collecting, and no more; meanwhile threads read pages of a file all over,
// as a large program does with its text: when too little room is left for that, it livelocks.
// Bounded in size and time.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	mib    = 1 << 20
	page   = 4096
	maxMiB = 260
)

var read atomic.Uint64

func block() []byte {
	b := make([]byte, mib)
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	return b
}

func fill(most, drop int, step time.Duration, live chan<- int, until int) {
	var kept [][]byte
	for n := 0; until == 0 || n < until; n++ {
		kept = append(kept, block())
		if len(kept) >= most {
			kept = append([][]byte(nil), kept[most*drop/100:]...)
		}
		select {
		case live <- len(kept):
		default:
		}
		time.Sleep(step)
	}
	for {
		time.Sleep(time.Second)
		kept[0][0]++
	}
}

func mapped(name string) []byte {
	file, err := os.Open(name)
	if err != nil {
		fail(err)
	}
	info, err := file.Stat()
	if err != nil {
		fail(err)
	}
	text, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ,
		syscall.MAP_SHARED)
	if err != nil {
		fail(err)
	}
	return text
}

func use(text []byte, seed uint32) {
	pages := uint32(len(text) / page)
	for {
		for i := 0; i < 64; i++ {
			seed = seed*1664525 + 1013904223
			read.Add(uint64(text[seed%pages*page]) + 1)
		}
		runtime.Gosched()
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gofill:", err)
	os.Exit(2)
}

func main() {
	tick := flag.Int("tick", 100, "ms between two lines")
	step := flag.Int("step", 2000, "us between two blocks")
	drop := flag.Int("drop", 20, "percent that are dropped when it is full")
	until := flag.Int("until", 0, "blocks that are taken, without a collection")
	text := flag.String("text", "", "file whose pages are read all over")
	threads := flag.Int("threads", 4, "that read it")
	seconds := flag.Int("seconds", 120, "ends after so many")
	flag.Parse()
	most, err := strconv.Atoi(flag.Arg(0))
	if err != nil || most < 1 || most > maxMiB || *until > maxMiB || *drop < 1 || *drop > 100 {
		fmt.Fprintln(os.Stderr, "gofill: wants a number of MiB, at most", maxMiB)
		os.Exit(2)
	}
	live := make(chan int, 1)
	if *until > 0 {
		runtime.GC() // one that never collected is not made to by time
		debug.SetGCPercent(5000)
	}
	if *text != "" {
		for i := 0; i < *threads; i++ {
			go use(mapped(*text), uint32(i)*7919)
		}
	}
	go fill(most, *drop, time.Duration(*step)*time.Microsecond, live, *until)
	end := time.After(time.Duration(*seconds) * time.Second)
	ticker := time.NewTicker(time.Duration(*tick) * time.Millisecond)
	now := 0
	for n := 0; ; n++ {
		select {
		case <-end:
			return
		case <-ticker.C:
			select {
			case now = <-live:
			default:
			}
			fmt.Println("tick", n, "live", now)
		}
	}
}
