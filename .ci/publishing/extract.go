package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// documentBroker is the document's example of a broker's address.
const documentBroker = "kafka-1:9092"

// fileComment is the line before a block, which names the block's file.
var fileComment = regexp.MustCompile(`^<!-- file: ([A-Za-z_]+\.[a-z]+) -->$`)

var errNoBlocks = errors.New("no block has a file comment")

// extract writes every block of the document to a file in the directory, with the broker in place of the document's. A block
// without a name is an error, since it would not be tried.
func extract(document, directory, broker string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	written := 0
	for at := 0; at < len(lines); at++ {
		if !strings.HasPrefix(lines[at], "```") {
			continue
		}
		name := fileComment.FindStringSubmatch(lines[max(at-1, 0)])
		if name == nil {
			return fmt.Errorf("%s:%d: the block has no file comment before it", document, at+1)
		}
		begin := at + 1
		for at = begin; at < len(lines) && lines[at] != "```"; at++ {
		}
		block := strings.Join(lines[begin:at], "\n") + "\n"
		block = strings.ReplaceAll(block, documentBroker, broker)
		if err := os.WriteFile(filepath.Join(directory, name[1]), []byte(block), 0o644); err != nil {
			return err
		}
		written++
	}
	if written == 0 {
		return errNoBlocks
	}
	return nil
}
