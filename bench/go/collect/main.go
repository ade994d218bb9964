// The collector's peer of the benchmark: net/http, which answers 202 once a post is appended and synced. One fdatasync
// serves all that wait. It reads no body, publishes nothing and archives nothing.
package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
)

type post struct {
	body []byte
	done chan error
}

func main() {
	file, err := os.OpenFile(os.Args[1], os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	posts := make(chan post, 4096)
	go func() {
		for first := range posts {
			group, data := []post{first}, first.body
			for more := true; more; {
				select {
				case next := <-posts:
					group, data = append(group, next), append(data, next.body...)
				default:
					more = false
				}
			}
			_, err := file.Write(data)
			if err == nil {
				err = syscall.Fdatasync(int(file.Fd()))
			}
			for _, each := range group {
				each.done <- err
			}
		}
	}()
	http.HandleFunc("POST /collect", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		done := make(chan error, 1)
		if err == nil {
			posts <- post{body, done}
			err = <-done
		}
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"accepted":1}`)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("address=http://%s", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
