package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // as a library does
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"
)

// librariesChild is set in the process that TestPromise7_WhatLibrariesPrint starts: the loggers are the process's. Its value is a
// signature.
const librariesChild = "LIBRARIES_TEST_CHILD"

// libraryKey looks like a secret key.
const libraryKey = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"

// printAsLibraries runs in that process. It prints secrets in the ways in which libraries print.
func printAsLibraries(sig string) {
	log.SetPrefix("before: ")
	first, _ := newLogger(os.Stderr, slog.LevelInfo, formatJSON, nil)
	libraries := takeOverLibraries(first)
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "HTTP/1.1 200 OK\r\n\r\nusersig="+sig, io.EOF)
	log.Print("key ", libraryKey)
	log.New(log.Writer(), "own prefix ", log.LstdFlags|log.Lshortfile).Print("sig ", sig)
	log.Print(strings.Repeat("filler ", 580) + sig + " and more") // the cut may leave a part of it
	log.Print(strings.Repeat("x", 4060) + sig)
	log.Print("two\nlines \x1b[31m and a colour")
	slog.Default().Info("default logger", "url", "https://host/?usersig="+sig, "error", errors.New("key "+libraryKey)) //nolint:forbidigo // as a library does
	slog.Error("global " + sig)                                                                                        //nolint:forbidigo,sloglint // as a library does
	slog.With("sig", sig).WithGroup("group").Debug("with attributes")                                                  //nolint:forbidigo,sloglint // as a library does
	unasked(sig)
	second, _ := newLogger(os.Stderr, slog.LevelInfo, formatJSON, nil)
	libraries.redirect(second.With("redirected", true))
	log.Print("to another logger")
}

// unasked has net/http itself print the signature: a server sends more than the answer.
func unasked(sig string) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Print(err)
		return
	}
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\nusersig=%s", sig)
		_, _ = io.Copy(io.Discard, conn) // the client closes it after it has printed
		_ = conn.Close()
	}()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		log.Print(err)
		return
	}
	if resp, err := http.DefaultTransport.RoundTrip(request); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	<-printed
}

// TestPromise7_WhatLibrariesPrint: what libraries print on their own is in the log, each text a line of JSON, without secrets.
func TestPromise7_WhatLibrariesPrint(t *testing.T) {
	t.Parallel()
	sig, err := tencentyun.GenUserSig(1400000000, libraryKey, "administrator", 86400)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), librariesChild+"="+sig)
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, secret := range []string{sig, libraryKey} {
		for i := 0; i+16 <= len(secret); i++ {
			if bytes.Contains(out, []byte(secret[i:i+16])) {
				t.Fatalf("a part of a secret, %q, in the output:\n%s", secret[i:i+16], out)
			}
		}
	}
	var texts []string
	for line := range bytes.Lines(out) {
		var parsed struct {
			Level, Msg, Text string
			Redirected       bool
		}
		if err := json.Unmarshal(line, &parsed); err != nil || parsed.Level != "WARN" || parsed.Msg != "a library says" || parsed.Text == "" {
			t.Errorf("%v: %s", err, line)
		}
		texts = append(texts, fmt.Sprintf("%s %t", parsed.Text, parsed.Redirected))
	}
	for _, want := range []string{
		"Unsolicited response", "key ***", "own prefix", "filler", "two lines", `msg="default logger"`, "level=ERROR", "level=DEBUG", "to another logger true",
	} {
		if !strings.Contains(strings.Join(texts, "\n"), want) {
			t.Errorf("no %q in\n%s", want, strings.Join(texts, "\n"))
		}
	}
	if n := strings.Count(strings.Join(texts, "\n"), "Unsolicited response"); n != 2 {
		t.Errorf("net/http's own line is there %d times:\n%s", n-1, strings.Join(texts, "\n"))
	}
}
