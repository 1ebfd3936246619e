// goseed fills memory in chunks up to a mark of its cap, clears it above that, and fills it again:
// what it has cleared is garbage until the runtime collects, and the runtime knows nothing of the
// cap. Meanwhile it serves a request each tick, for which it needs some memory too, and logs it with
// the time (ms, CLOCK_MONOTONIC): when lines are missing it hung.
//
//	goseed [-mark PERCENT] [-step US] [-tick MS] [-request KIB] [-seconds N] [-log FILE] CAP_MIB
//
// Bounded in size and time.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	mib    = 1 << 20
	page   = 4096
	maxMiB = 1024
)

var served []byte // what the last request has needed

func monotonicMs() int64 {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Sec*1000 + ts.Nsec/1e6
}

func block(size int) []byte {
	b := make([]byte, size)
	for i := 0; i < size; i += page {
		b[i] = 1
	}
	return b
}

func fill(most int, step time.Duration) {
	var kept [][]byte
	for {
		if kept = append(kept, block(mib)); len(kept) > most {
			kept = nil
		}
		time.Sleep(step)
	}
}

func fail(text any) {
	fmt.Fprintln(os.Stderr, "goseed:", text)
	os.Exit(2)
}

func main() {
	mark := flag.Int("mark", 80, "percent of the cap above which it clears")
	step := flag.Int("step", 2000, "us between two chunks of 1 MiB")
	tick := flag.Int("tick", 100, "ms between two lines")
	request := flag.Int("request", 256, "KiB that a request takes")
	seconds := flag.Int("seconds", 60, "ends after so many")
	name := flag.String("log", "", "file for the lines; else standard output")
	flag.Parse()
	cap, err := strconv.Atoi(flag.Arg(0))
	if err != nil || cap < 8 || cap > maxMiB || *mark < 1 || *mark > 99 ||
		*request < 0 || *request > 16<<10 {
		fail("wants a cap of 8 to 1024 MiB and a mark below 100")
	}
	log := os.Stdout
	if *name != "" {
		if log, err = os.OpenFile(*name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0600); err != nil {
			fail(err)
		}
	}
	go fill(cap**mark/100, time.Duration(*step)*time.Microsecond)
	end := time.After(time.Duration(*seconds) * time.Second)
	ticker := time.NewTicker(time.Duration(*tick) * time.Millisecond)
	for n := 0; ; n++ {
		select {
		case <-end:
			return
		case <-ticker.C:
			served = block(*request << 10)
			fmt.Fprintln(log, n, monotonicMs())
		}
	}
}
