package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"convdel/internal/publish"
)

const (
	// maxLine is the longest line that is read, without its line end. It has room for an exported dead letter with a record
	// of 8 MiB, the most that the service keeps by default, even if each byte is written as six.
	maxLine = 64 << 20
	// A chunk is written to Kafka at once. It has at most so many lines, and so many bytes, that a batch stays below what
	// brokers take by default. A longer line goes alone.
	maxChunkLines = publish.MaxRecords
	maxChunkBytes = 512 << 10
)

// inputLine is one line of the input.
type inputLine struct {
	number int
	text   []byte
	// tooLong says that the line is longer than maxLine. Only its beginning is kept.
	tooLong bool
}

// lineBeginning is how much of a too long line is kept, enough to find a dead letter's ID.
const lineBeginning = 512

// byteOrderMark is what some editors put before a text in UTF-8. It is no part of the first line.
const byteOrderMark = "\ufeff"

// lineReader cuts an input into chunks of lines. A chunk ends early when the input pauses, so that lines of a slow input
// are not held back.
type lineReader struct {
	in      *bufio.Reader
	number  int
	longest int
	// held is a line that did not fit the previous chunk.
	held *inputLine
}

func newLineReader(in io.Reader) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10), longest: maxLine}
}

// chunk returns the next lines that are not blank. With the last lines it returns io.EOF.
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

// lineWaits returns true if a whole line is in the buffer, so that reading it does not block.
func (r *lineReader) lineWaits() bool {
	waiting, _ := r.in.Peek(r.in.Buffered()) // buffered bytes can always be read
	return bytes.IndexByte(waiting, '\n') >= 0
}

// next returns the next line, nil for a blank one. At the end it returns io.EOF, with or without a line.
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
		if r.number++; r.number == 1 && !line.tooLong {
			line.text = bytes.TrimPrefix(line.text, []byte(byteOrderMark))
		}
		line.text = bytes.TrimRight(line.text, "\r\n")
		if len(bytes.TrimSpace(line.text)) == 0 && !line.tooLong {
			line = nil
		}
		return line, err
	}
}

// chunks reads in until its end or an error, and hands over chunks. It reads one chunk ahead. It ends with ctx, unless a
// read of the input blocks.
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
