package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// longestForTests replaces maxLine, so that tests need no lines of that length.
const longestForTests = 1 << 20

// readAll reads an input by chunks, and checks the chunks' bounds.
func readAll(t *testing.T, in io.Reader) []inputLine {
	t.Helper()
	var all []inputLine
	r := newLineReader(in)
	for r.longest = longestForTests; ; {
		lines, err := r.chunk()
		size := 0
		for _, line := range lines {
			size += len(line.text)
		}
		if len(lines) > maxChunkLines || len(lines) > 1 && size > maxChunkBytes {
			t.Errorf("a chunk of %d lines, %d bytes", len(lines), size)
		}
		all = append(all, lines...)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinesAreNumberedAsInTheInput(t *testing.T) {
	t.Parallel()
	exact, over := strings.Repeat("e", longestForTests), strings.Repeat("o", longestForTests+1)
	text := "one\n\n  \nfour\r\n\r\n" + over + "\n" + exact + "\r\n" + over + "\nnine"
	for name, in := range map[string]io.Reader{
		"whole": strings.NewReader(text), "halves": iotest.HalfReader(strings.NewReader(text)),
		"data with its end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := readAll(t, in)
			var numbers []int
			for _, line := range lines {
				numbers = append(numbers, line.number)
			}
			if !slices.Equal(numbers, []int{1, 4, 6, 7, 8, 9}) {
				t.Fatalf("numbers %v", numbers)
			}
			if string(lines[0].text) != "one" || string(lines[1].text) != "four" || string(lines[5].text) != "nine" {
				t.Errorf("texts %q, %q, %q", lines[0].text, lines[1].text, lines[5].text)
			}
			if !lines[2].tooLong || lines[3].tooLong || string(lines[3].text) != exact || !lines[4].tooLong || string(lines[2].text) != over[:lineBeginning] {
				t.Error("a line of the longest length and its neighbours are not told apart")
			}
		})
	}
}

// TestAByteOrderMarkIsNoPartOfTheInput: editors put it there, and nobody sees it.
func TestAByteOrderMarkIsNoPartOfTheInput(t *testing.T) {
	t.Parallel()
	lines := readAll(t, strings.NewReader("\ufeffone\n\ufefftwo\n"))
	if len(lines) != 2 || string(lines[0].text) != "one" || string(lines[1].text) != "\ufefftwo" || lines[1].number != 2 {
		t.Errorf("%v", lines)
	}
	if lines := readAll(t, strings.NewReader("\ufeff\n\ufeff")); len(lines) != 1 || lines[0].number != 2 {
		t.Errorf("%v", lines)
	}
}

func TestNoInput(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "\r\n \n"} {
		if lines := readAll(t, strings.NewReader(text)); len(lines) != 0 {
			t.Errorf("%q: %v", text, lines)
		}
	}
}

func TestManyLinesMakeManyChunks(t *testing.T) {
	t.Parallel()
	const n = 5000
	long := strings.Repeat("x", maxChunkBytes/3)
	lines := readAll(t, strings.NewReader(strings.Repeat("short\n", n)+strings.Repeat(long+"\n", 10)))
	if len(lines) != n+10 || lines[n+9].number != n+10 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestALineIsNotHeldBackWhileTheInputPauses(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	out2 := make(chan []inputLine)
	go func() {
		r := newLineReader(in)
		for {
			lines, err := r.chunk()
			if err != nil {
				close(out2)
				return
			}
			out2 <- lines
		}
	}()
	for _, part := range []string{"one\n", "two\nthree\npart of ", "four\n"} {
		if _, err := io.WriteString(out, part); err != nil {
			t.Fatal(err)
		}
		lines := <-out2 // it hangs if the reader waits for more
		if whole := strings.Count(part, "\n"); len(lines) != whole {
			t.Errorf("after %q: %d lines", part, len(lines))
		}
	}
	_ = out.Close()
	<-out2
}
