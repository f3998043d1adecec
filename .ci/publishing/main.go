// Command publishing tries the programs of docs/publishing.md: it takes them out of the document, and looks at the
// record that each has published. try.sh runs it.
//
//	publishing extract DOCUMENT DIRECTORY BROKER
//	publishing check BROKER bare|structured|binary COMMAND...
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "publishing:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "extract":
		return extract(args[1], args[2], args[3])
	case len(args) > 3 && args[0] == "check":
		return check(args[1], args[2], args[3:])
	}
	return fmt.Errorf("wrong usage: %q", args)
}
