package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

const (
	// maxLine is the longest line that is read, without its end: an exported dead letter with a record of the
	// 8 MiB that the service keeps of one by default, each byte of it written as six.
	maxLine = 64 << 20
	// A chunk is what is written to Kafka in one go: so many lines, or so many bytes, which keeps any
	// batch below what brokers take by default. A longer line goes alone.
	maxChunkLines = 1000
	maxChunkBytes = 512 << 10
)

// inputLine is one line of the input.
type inputLine struct {
	number int
	text   []byte
	// tooLong says that it was longer than that; but for its beginning its text is gone.
	tooLong bool
}

// lineBeginning is how much is kept of a line that is too long: enough to see whose it is.
const lineBeginning = 512

// lineReader cuts an input into chunks of lines. A chunk ends early when the input pauses, so that
// what trickles in is not held back.
type lineReader struct {
	in      *bufio.Reader
	number  int
	longest int
	// held is the line that did not fit the chunk before.
	held *inputLine
}

func newLineReader(in io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10), longest: maxLine}
}

// chunk returns the next lines that are not blank, and io.EOF with the last of them.
func (r *lineReader) chunk() ([]inputLine, error) {
	var lines []inputLine
	size := 0
	for {
		line, err := r.next()
		if line != nil {
			if size > 0 && size+len(line.text) > maxChunkBytes {
				r.held = line
				return lines, nil
			}
			lines = append(lines, *line)
			size += len(line.text)
		}
		if err != nil || len(lines) == maxChunkLines || len(lines) > 0 && !r.lineWaits() {
			return lines, err
		}
	}
}

// lineWaits says whether a whole line can be had without waiting for the input.
func (r *lineReader) lineWaits() bool {
	waiting, _ := r.in.Peek(r.in.Buffered()) // what is buffered can be had
	return bytes.IndexByte(waiting, '\n') >= 0
}

// next returns the next line, nil for a blank one, and at the end io.EOF, with a line or without.
func (r *lineReader) next() (*inputLine, error) {
	if line := r.held; line != nil {
		r.held = nil
		return line, nil
	}
	line := &inputLine{number: r.number + 1}
	for {
		part, err := r.in.ReadSlice('\n')
		if !line.tooLong && len(line.text)+len(bytes.TrimRight(part, "\r\n")) > r.longest {
			line.tooLong, line.text = true, bytes.Clone(append(line.text, part...)[:min(lineBeginning, r.longest)])
		}
		if !line.tooLong {
			line.text = append(line.text, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		r.number++
		line.text = bytes.TrimRight(line.text, "\r\n")
		if len(bytes.TrimSpace(line.text)) == 0 && !line.tooLong {
			line = nil
		}
		return line, err
	}
}

// chunks reads in until its end or an error and hands over what it reads, one chunk ahead. It does
// not outlive ctx, but for a read that the input does not return from.
func chunks(ctx context.Context, in io.Reader) (<-chan []inputLine, <-chan error) {
	out, failed := make(chan []inputLine), make(chan error, 1)
	go func() {
		defer close(out)
		for reader := newLineReader(in); ; {
			lines, err := reader.chunk()
			if len(lines) > 0 {
				select {
				case out <- lines:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					failed <- err
				}
				return
			}
		}
	}()
	return out, failed
}
