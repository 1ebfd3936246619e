// godemo takes memory as programs in Go do: through a collector that lets the heap grow to twice
// of what is live, whatever limit the kernel set.
//
//	godemo [-step MS] [-seconds N] [-percent N] climb|saw|churn MIB
//
// climb: one MiB each step, never given back. saw: MIB in steps, then all let go. churn: MIB stay
// live, of which a percentage is replaced each step. The size is bounded, and it ends by itself, or
// on SIGTERM or SIGINT, with the figures of its heap on stderr.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	mib    = 1 << 20
	page   = 4096
	maxMiB = 260
)

func block() []byte {
	b := make([]byte, mib)
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	return b
}

func climb(n int, step time.Duration) {
	var kept [][]byte
	for len(kept) < n {
		kept = append(kept, block())
		time.Sleep(step)
	}
	for { // kept is still used
		time.Sleep(time.Second)
		kept[0][0]++
	}
}

func saw(n int, step time.Duration) {
	for {
		var kept [][]byte
		for len(kept) < n {
			kept = append(kept, block())
			time.Sleep(step)
		}
	}
}

func churn(n, percent int, step time.Duration) {
	kept := make([][]byte, n)
	for i := range kept {
		kept[i] = block()
	}
	fmt.Println("live", n)
	at := 0
	for {
		for i := 0; i < n*percent/100; i++ {
			kept[at] = block()
			at = (at + 1) % n
		}
		time.Sleep(step)
	}
}

func figures() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(os.Stderr, "heap inuse=%d sys=%d released=%d total=%d collections=%d\n",
		m.HeapInuse, m.Sys, m.HeapReleased, m.TotalAlloc, m.NumGC)
}

func main() {
	step := flag.Int("step", 200, "milliseconds between steps")
	seconds := flag.Int("seconds", 60, "ends after as many")
	percent := flag.Int("percent", 20, "of the live blocks, replaced each step")
	flag.Parse()
	n, err := strconv.Atoi(flag.Arg(1))
	if flag.NArg() != 2 || err != nil || n < 1 || n > maxMiB || *seconds < 1 || *seconds > 300 ||
		*step < 0 || *percent < 0 || *percent > 100 {
		fmt.Fprintln(os.Stderr, "usage: godemo [-step MS] [-seconds N] [-percent N] climb|saw|churn MIB")
		os.Exit(2)
	}
	pause := time.Duration(*step) * time.Millisecond
	switch flag.Arg(0) {
	case "climb":
		go climb(n, pause)
	case "saw":
		go saw(n, pause)
	case "churn":
		go churn(n, *percent, pause)
	default:
		fmt.Fprintln(os.Stderr, "godemo: climb, saw or churn")
		os.Exit(2)
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-told:
	case <-time.After(time.Duration(*seconds) * time.Second):
	}
	figures()
}
