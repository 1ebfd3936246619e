package main

import (
	"net"
	"net/http"
	_ "net/http/pprof"
)

func init() {
	serve = func(l net.Listener) { http.Serve(l, nil) }
}
