// Answers on its port in the way that the environment variable LIE says: as pprof does at first,
// so that it is believed, and then not.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

const index = "<title>/debug/pprof/</title> goroutine heap threadcreate"

func head(length int, more string) string {
	return fmt.Sprintf("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n%s\r\n", length, more)
}

func forever(c net.Conn, text string) {
	for {
		if _, err := c.Write([]byte(text)); err != nil {
			return
		}
	}
}

func bomb() []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	zeros := make([]byte, mib)
	for i := 0; i < 512; i++ {
		w.Write(zeros)
	}
	w.Close()
	return b.Bytes()
}

func lie(c net.Conn, packed []byte) {
	defer c.Close()
	asked := make([]byte, 4096)
	n, _ := c.Read(asked)
	kind, isIndex := os.Getenv("LIE"), strings.HasPrefix(string(asked[:n]), "GET /debug/pprof/ ")
	switch {
	case kind == "silent":
		time.Sleep(time.Minute)
	case kind == "binary":
		c.Write([]byte{0, 255, 1, 254, 10, 10, 13, 10})
	case kind == "head": // a head that does not end
		c.Write([]byte("HTTP/1.0 200 OK\r\n"))
		forever(c, "X: y\r\n")
	case kind == "other":
		c.Write([]byte(head(5, "") + "hello"))
	case isIndex:
		c.Write([]byte(head(len(index), "") + index))
	case kind == "endless":
		c.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
		forever(c, strings.Repeat("x", 65536))
	case kind == "slow":
		c.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	case kind == "redirect":
		fmt.Fprintf(c, "HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:%s/\r\n\r\n", os.Getenv("TO"))
	case kind == "bomb":
		c.Write([]byte(head(len(packed), "")))
		c.Write(packed)
	case kind == "short":
		c.Write([]byte(head(1<<30, "") + "short"))
	case kind == "closed":
	}
}

func init() {
	var packed []byte
	if os.Getenv("LIE") == "bomb" {
		packed = bomb()
	}
	serve = func(l net.Listener) {
		for {
			if c, err := l.Accept(); err == nil {
				go lie(c, packed)
			}
		}
	}
}
