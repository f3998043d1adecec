package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand prints the binary's version.
type versionCommand struct {
	Format string `default:"table" group:"output" help:"table, one line; json or ndjson, one object." placeholder:"FORMAT" words:"table,json,ndjson"`
}

// Help shows examples.
func (*versionCommand) Help() string {
	return `The build says of itself what it is:

    convdel version
    convdel version --format json | jq -r .commit`
}

// versionRow is the version for programs.
type versionRow struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Run prints one line.
func (v *versionCommand) Run(con *console) error {
	c := checker{flagsOnly: []string{"format"}}
	c.oneOf("format", v.Format, formatTable, formatJSON, formatNDJSON)
	if err := c.err(); err != nil {
		return err
	}
	b := readBuild()
	if v.Format != formatTable {
		return writeLine(con.stdout, versionRow{b.version, b.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH})
	}
	_, err := fmt.Fprintln(con.stdout, b)
	return err
}

// String is the version in one line.
func (b build) String() string {
	return fmt.Sprintf("convdel %s (commit %s, %s, %s/%s)", b.version, b.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
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
