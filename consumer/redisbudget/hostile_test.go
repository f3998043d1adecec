package redisbudget

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// liar is a server that gives any answer to the script, and refuses HELLO and AUTH as told. Its connections are pipes, so that a question has
// all the time of a synctest bubble.
type liar struct {
	// login answers HELLO and AUTH, script answers EVALSHA and EVAL.
	login, script func(command []string) string
	connections   atomic.Int64
}

func newLiar(script func(command []string) string) *liar {
	return &liar{script: script, login: func([]string) string { return "-ERR unknown command\r\n" }}
}

func (l *liar) dial(context.Context, string, string) (net.Conn, error) {
	l.connections.Add(1)
	ours, theirs := net.Pipe()
	go l.serve(theirs)
	return ours, nil
}

func (l *liar) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		command, err := readCommand(r)
		if err != nil {
			return
		}
		answer := l.login
		if strings.HasPrefix(strings.ToUpper(command[0]), "EVAL") {
			answer = l.script
		}
		for text := answer(command); text != ""; {
			n := min(len(text), 4096) // so that the liar itself allocates little
			if _, err := conn.Write([]byte(text[:n])); err != nil {
				return
			}
			text = text[n:]
		}
	}
}

// readCommand reads an array of strings.
func readCommand(r *bufio.Reader) ([]string, error) {
	number := func() (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	if err != nil {
		return nil, err
	}
	command := make([]string, n)
	for i := range command {
		size, err := number()
		if err != nil {
			return nil, err
		}
		text := make([]byte, size+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:size])
	}
	return command, nil
}

// numbers is an array of whole numbers.
func numbers(list ...int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(list))
	for _, n := range list {
		fmt.Fprintf(&b, ":%d\r\n", n)
	}
	return b.String()
}

// question is the number of the question in a call of the script.
func question(command []string) int64 {
	n, _ := strconv.ParseInt(command[len(command)-1], 10, 64)
	return n
}

func (l *liar) budget(tb testing.TB, user *url.Userinfo) *Budget {
	tb.Helper()
	where := url.URL{Scheme: "redis", User: user, Host: "localhost"}
	b, err := New(Config{URL: func() (string, error) { return where.String(), nil }, Key: "k", CallsPerSecond: 200, Dial: l.dial})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = b.Close()
		time.Sleep(2 * time.Second) // the client's goroutine that dials notices late
	})
	return b
}

// TestPromise8_AnswersThatClaimMemory: the client allocates nothing for what a header announces, wherever the header stands.
//
//nolint:paralleltest // It measures what the process allocates.
func TestPromise8_AnswersThatClaimMemory(t *testing.T) {
	for name, reply := range map[string]string{
		"array":               "*2147483600\r\n",
		"array of one more":   "*65\r\n",
		"array, overflowing":  "*9223372036854775807\r\n",
		"array, negative":     "*-2\r\n",
		"array without digit": "*\r\n",
		"array in an array":   "*4\r\n:1\r\n*2147483600\r\n",
		"arrays in arrays":    strings.Repeat("*64\r\n", 3000),
		"string":              "$2147483600\r\n",
		"string, overflowing": "$9223372036854775807\r\n",
		"string in an array":  "*4\r\n$2147483600\r\n",
		"many strings":        "*64\r\n" + strings.Repeat("$4096\r\n"+strings.Repeat("x", 4096)+"\r\n", 64),
		"map":                 "%2147483600\r\n",
		"set":                 "~2147483600\r\n",
		"push":                ">2147483600\r\n",
		"attribute":           "|2147483600\r\n",
		"verbatim string":     "=2147483600\r\n",
		"long error":          "!2147483600\r\n",
		"big number":          "(" + strings.Repeat("9", 1<<20) + "\r\n",
		"line without an end": "+" + strings.Repeat("x", 64<<20),
		"error without end":   "-ERR " + strings.Repeat("x", 64<<20),
		"no header":           "\n\n\n",
		"nothing like Redis":  "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newLiar(func([]string) string { return reply }).budget(t, nil)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, _, err := b.Reserve(t.Context(), 1)
				runtime.ReadMemStats(&after)
				wrong, ok := errors.AsType[*ReplyError](err)
				if !ok {
					t.Fatalf("%v", err)
				}
				if len(wrong.Error()) > 200 {
					t.Errorf("an error of %d bytes", len(wrong.Error()))
				}
				// What the liar sends until the connection ends counts, too.
				if grown := after.TotalAlloc - before.TotalAlloc; grown > 24<<20 {
					t.Errorf("%d bytes allocated", grown)
				}
			})
		})
	}
}

// TestAnswersThatCannotBe: an answer whose shape is right and whose numbers are not is an error, and no departure.
func TestAnswersThatCannotBe(t *testing.T) {
	t.Parallel()
	const now = 1_700_000_000_000_000
	for name, reply := range map[string]func(q int64) string{
		"another question": func(q int64) string { return numbers(now, now, 1, q-1) },
		"no question":      func(int64) string { return numbers(now, now, 1) },
		"one number more":  func(q int64) string { return numbers(now, now, 1, q, 1) },
		"a status":         func(int64) string { return "+OK\r\n" },
		"a string":         func(int64) string { return "$2\r\nOK\r\n" },
		"a number":         func(int64) string { return ":1\r\n" },
		"nothing":          func(int64) string { return "*0\r\n" },
		"strings": func(q int64) string {
			return fmt.Sprintf("*4\r\n+%d\r\n+%d\r\n+1\r\n+%d\r\n", int64(now), int64(now), q)
		},
		"an error in it":         func(q int64) string { return fmt.Sprintf("*4\r\n:%d\r\n-ERR\r\n:1\r\n:%d\r\n", int64(now), q) },
		"null in it":             func(q int64) string { return fmt.Sprintf("*4\r\n:%d\r\n$-1\r\n:1\r\n:%d\r\n", int64(now), q) },
		"more than asked for":    func(q int64) string { return numbers(now, now, 6, q) },
		"endlessly many":         func(q int64) string { return numbers(now, now, 1<<62, q) },
		"fewer than none":        func(q int64) string { return numbers(now, now, -1, q) },
		"departures in the past": func(q int64) string { return numbers(now, now-1, 1, q) },
		"departures next year":   func(q int64) string { return numbers(now, now+31_536_000_000_000, 1, q) },
		"departures too far":     func(q int64) string { return numbers(now, now+1_000_001, 1, q) },
		"the last one too far":   func(q int64) string { return numbers(now, now+990_000, 5, q) },
		"a wait of a year":       func(q int64) string { return numbers(now, now+31_536_000_000_000, 0, q) },
		"a wait of 3.1 s":        func(q int64) string { return numbers(now, now+3_100_000, 0, q) },
		"no time":                func(q int64) string { return numbers(0, 0, 1, q) },
		"a time before 1970":     func(q int64) string { return numbers(-1, -1, 1, q) },
		"a time without end":     func(q int64) string { return numbers(1<<62, 1<<62, 1, q) },
		"the end of time":        func(q int64) string { return numbers(1<<63-1, 1<<63-1, 1, q) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newLiar(func(command []string) string { return reply(question(command)) }).budget(t, nil)
				departures, _, err := b.Reserve(t.Context(), 5)
				if _, ok := errors.AsType[*ReplyError](err); !ok || departures != nil {
					t.Errorf("%v, %v", departures, err)
				}
			})
		})
	}
}

// TestRefusals: what a Redis answers that can't do its work is an error with its words.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"LOADING Redis is loading the dataset in memory", "NOAUTH Authentication required.", "READONLY You can't write against a read only replica.",
		"MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "OOM command not allowed when used memory > 'maxmemory'.", "BUSY Redis is busy running a script.",
		"MASTERDOWN Link with MASTER is down", "NOPERM this user has no permissions", "NOSCRIPT No matching script.", "CLUSTERDOWN The cluster is down", "TRYAGAIN",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newLiar(func([]string) string { return "-" + text + "\r\n" }).budget(t, nil)
			if departures, _, err := b.Reserve(t.Context(), 1); err == nil || !strings.Contains(err.Error(), text) || departures != nil {
				t.Errorf("%s: %v, %v", text, departures, err)
			}
		})
	}
}

// TestShiftedAnswers: a server that owes an answer stays one answer behind. The connection is given up.
func TestShiftedAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now, before := int64(1_700_000_000_000_000), ""
		var l *liar
		l = newLiar(func(command []string) string {
			now += 20_000
			answer := numbers(now, now, 1, question(command))
			if l.connections.Load() > 1 {
				return answer
			}
			answer, before = before, answer
			if answer == "" {
				return "+OK\r\n"
			}
			return answer
		})
		b := l.budget(t, nil)
		if _, _, err := b.Reserve(t.Context(), 1); err == nil {
			t.Error("the answer to another command is taken for the script's")
		}
		if departures, _, err := b.Reserve(t.Context(), 1); err != nil || len(departures) != 1 || l.connections.Load() != 2 {
			t.Errorf("%v, %v over %d connections", departures, err, l.connections.Load())
		}
	})
}

// TestKeyGoesBack: departures that were handed out before are not used again.
func TestKeyGoesBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	b := s.budget(t, 10)
	write := func(text string) {
		t.Helper()
		if err := s.client.Set(t.Context(), s.key, text, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	if departures, _, err := b.Reserve(t.Context(), 9); err != nil || len(departures) != 9 {
		t.Fatalf("%v, %v", departures, err)
	}
	write("1")
	if departures, _, err := b.Reserve(t.Context(), 9); err == nil || !strings.Contains(err.Error(), "gone back") || departures != nil {
		t.Errorf("%v, %v: of a key that was set back", departures, err)
	}
	if _, _, err := b.Reserve(t.Context(), 9); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := s.client.Del(t.Context(), s.key).Err(); err != nil {
		t.Fatal(err)
	}
	if departures, _, err := b.Reserve(t.Context(), 9); err != nil || len(departures) != 0 {
		t.Errorf("%v, %v: of a key that was lost", departures, err)
	}
}

// TestClockJumps: the answer after a jump of Redis's clock is an error, the ones after that are not.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ahead time.Duration
		b := newLiar(func(command []string) string {
			now := time.Now().Add(ahead).UnixMicro()
			return numbers(now, now, 1, question(command))
		}).budget(t, nil)
		for i, jump := range []time.Duration{0, time.Hour, 0, -2 * time.Hour, 0} {
			ahead += jump
			if _, _, err := b.Reserve(t.Context(), 1); (err != nil) != (jump != 0) {
				t.Errorf("answer %d, after a jump of %s: %v", i, jump, err)
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// TestPasswordIsNotRepeated: a server that does not know AUTH repeats its arguments in its error, whole, cut off or escaped.
func TestPasswordIsNotRepeated(t *testing.T) {
	t.Parallel()
	const long = "eyJhbGciOiJIUzI1NiJ9"
	for password, answer := range map[string]string{
		"hunter2": "-ERR unknown command '%s', with args beginning with: '%s'\r\n", strings.Repeat(long, 20): "-ERR unknown command '%s', with args beginning with: '%.128s'\r\n",
		`p"` + long: "-ERR unknown command '%s', with args beginning with: %q\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLiar(nil)
			l.login = func(command []string) string { return fmt.Sprintf(answer, command[0], command[len(command)-1]) }
			_, _, err := l.budget(t, url.UserPassword("u", password)).Reserve(t.Context(), 1)
			if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), long) || !strings.Contains(err.Error(), "unknown command") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTrickle: an answer that comes byte by byte is given up when the time of the question is over.
func TestTrickle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{
			URL: func() (string, error) { return "redis://redis", nil }, Key: "k", CallsPerSecond: 200,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go trickle(theirs)
				return ours, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _, err = b.Reserve(t.Context(), 1)
		if took := time.Since(began); err == nil || took > slowest {
			t.Errorf("after %s: %v", took, err)
		}
		_ = b.Close()
		time.Sleep(2 * time.Second) // the client's goroutine that dials notices late
	})
}

// trickle answers the first command at once, and others with a byte every 10 ms.
func trickle(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	if _, err := readCommand(r); err != nil {
		return
	}
	if _, err := io.WriteString(conn, "-ERR unknown command\r\n"); err != nil {
		return
	}
	if _, err := readCommand(r); err != nil {
		return
	}
	for {
		if _, err := io.WriteString(conn, "+"); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestRepliesInPieces: bounds do not depend on how the network cuts a reply, and hold for replies that follow one another.
func TestRepliesInPieces(t *testing.T) {
	t.Parallel()
	good := []string{
		"+OK\r\n", "-ERR x\r\n", ":1\r\n", ":-9223372036854775808\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "$0\r\n\r\n", "$4\r\n\r\n*9\r\n",
		numbers(1, 2, 3, 4), "*2\r\n*1\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n", "*64\r\n" + strings.Repeat(":1\r\n", 64),
		"$4096\r\n" + strings.Repeat("*", 4096) + "\r\n", strings.Repeat("*1\r\n", 8) + ":1\r\n",
	}
	bad := []string{
		"*65\r\n", "$4097\r\n", "+" + strings.Repeat("x", longestLine), "\r\n", ":\n", "_\r\n", "*x\r\n", "$\r\n", "* 1\r\n", "*2\r\n*65\r\n",
		strings.Repeat("*1\r\n", 9), "*5\r\n" + strings.Repeat("$4096\r\n"+strings.Repeat("x", 4096)+"\r\n", 4),
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(good), 0, 30).Draw(t, "good"), "")
		want := rapid.Bool().Draw(t, "ends badly")
		if want {
			text += rapid.SampledFrom(bad).Draw(t, "bad")
		}
		var r replies
		var err error
		for len(text) > 0 && err == nil {
			n := rapid.IntRange(1, len(text)).Draw(t, "piece")
			err = r.take([]byte(text[:n]))
			text = text[n:]
		}
		if (err != nil) != want {
			t.Fatalf("%v, bad: %t", err, want)
		}
		if err == nil && (r.size != 0 || len(r.open) != 0 || r.bulk != 0) {
			t.Fatalf("at the end: %+v", r)
		}
	})
}
