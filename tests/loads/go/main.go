// godemo takes memory as programs in Go do: through a collector that lets the heap grow to twice
// of what is live, whatever limit the kernel set.
//
//	godemo [-step MS] [-seconds N] [-percent N] [-burst] climb|saw|churn MIB
//
// climb: one MiB each step, never given back. saw: MIB in steps, then all let go. churn: MIB stay
// live, in blocks of 64 KiB, of which a percentage is replaced in the course of each step, or, with
// -burst, at once at its end: then the heap is the larger the faster it is filled, since the
// collector runs beside it. The size is bounded, and it ends by itself, or on SIGTERM or SIGINT,
// with the figures of its heap on stderr.
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
	small  = 1 << 16
	page   = 4096
	maxMiB = 260
	slices = 20 // parts of a step
)

func block(size int) []byte {
	b := make([]byte, size)
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	return b
}

func climb(n int, step time.Duration) {
	var kept [][]byte
	for len(kept) < n {
		kept = append(kept, block(mib))
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
			kept = append(kept, block(mib))
			time.Sleep(step)
		}
	}
}

func churn(n, percent int, step time.Duration, burst bool) {
	kept := make([][]byte, n*mib/small)
	for i := range kept {
		kept[i] = block(small)
	}
	fmt.Println("live", n)
	parts := slices
	if burst {
		parts = 1
	}
	for at, due := 0, 0; ; due += len(kept) * percent {
		for ; due >= 100*parts; due -= 100 * parts {
			kept[at] = block(small)
			at = (at + 1) % len(kept)
		}
		time.Sleep(step / time.Duration(parts))
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
	burst := flag.Bool("burst", false, "replace them all at once")
	percent := flag.Int("percent", 20, "of the live blocks, replaced each step")
	flag.Parse()
	n, err := strconv.Atoi(flag.Arg(1))
	if flag.NArg() != 2 || err != nil || n < 1 || n > maxMiB || *seconds < 1 || *seconds > 300 ||
		*step < 0 || *percent < 0 || *percent > 100 {
		fmt.Fprintln(os.Stderr, "usage: godemo [-step MS] [-seconds N] [-percent N] [-burst] climb|saw|churn MIB")
		os.Exit(2)
	}
	pause := time.Duration(*step) * time.Millisecond
	switch flag.Arg(0) {
	case "climb":
		go climb(n, pause)
	case "saw":
		go saw(n, pause)
	case "churn":
		go churn(n, *percent, pause, *burst)
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
