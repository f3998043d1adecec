package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand prints the binary's version.
type versionCommand struct{}

// Run prints one line.
func (*versionCommand) Run(con *console) error {
	b := readBuild()
	_, err := fmt.Fprintf(con.stdout, "convdel %s (commit %s, %s, %s/%s)\n",
		b.version, b.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// build is what the Go toolchain has stamped into the binary.
type build struct{ version, commit string }

// readBuild returns version and commit; "devel" and "unknown" if the build had no version control.
func readBuild() build {
	b := build{version: "devel", commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.version = v
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "-modified"
		}
	}
	b.commit += modified
	return b
}
