package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogsDocument: docs/logs.md lists each field that a log line may have, and no other.
func TestLogsDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(document), "| field | meaning |")
	listed := map[string]bool{}
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > 2 {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				listed[name[1]] = true
			}
		}
	}
	used := map[string]bool{}
	for _, root := range []string{"../../consumer", "../../imclient", "../../internal", "../../cmd"} {
		noteFields(t, root, used)
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if !listed[name] {
			t.Errorf("docs/logs.md lacks the field %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if !used[name] {
			t.Errorf("docs/logs.md lists the field %s, which no line has", name)
		}
	}
	if len(used) < 50 || !used["trace_id"] || used["err"] {
		t.Errorf("the code uses the fields %v", slices.Sorted(maps.Keys(used)))
	}
}

// TestLogsDocumentMessages: docs/logs.md lists each message that a log line above DEBUG may have, and no other.
func TestLogsDocumentMessages(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(document), "## Messages")
	tables, _, _ = strings.Cut(tables, "## Accounts")
	listed := map[string]bool{}
	for row := range strings.Lines(tables) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 {
			continue
		}
		for _, message := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[2], -1) {
			if listed[message[1]] {
				t.Errorf("docs/logs.md lists %q twice", message[1])
			}
			listed[message[1]] = true
		}
	}
	said := map[string]bool{}
	for _, root := range []string{"../../consumer", "../../imclient", "../../internal", "../../cmd"} {
		noteMessages(t, root, said)
	}
	for _, message := range slices.Sorted(maps.Keys(said)) {
		if !listed[message] {
			t.Errorf("docs/logs.md lacks the message %q", message)
		}
	}
	for _, message := range slices.Sorted(maps.Keys(listed)) {
		if !said[message] {
			t.Errorf("docs/logs.md lists the message %q, which no line has", message)
		}
	}
	if len(said) < 70 || !said["the membership is lost"] || said["settings at their defaults"] {
		t.Errorf("the code says %q", slices.Sorted(maps.Keys(said)))
	}
}

// noteMessages notes the messages of all lines above DEBUG in a directory's code, but for its tests.
func noteMessages(t *testing.T, root string, said map[string]bool) {
	t.Helper()
	texts := map[string]string{}
	var calls []*ast.CallExpr
	eachFile(t, root, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				calls = append(calls, n)
			case *ast.ValueSpec:
				if len(n.Names) == 1 && len(n.Values) == 1 {
					if text, ok := textOf(n.Values[0], nil); ok {
						texts[n.Names[0].Name] = text
					}
				}
			}
			return true
		})
	})
	for _, call := range calls {
		if message := messageIn(call); message != nil {
			if text, ok := textOf(message, texts); ok {
				said[text] = true
			}
		}
	}
}

// messageIn returns the message in a call that writes a line above DEBUG; nil if there is none.
func messageIn(call *ast.CallExpr) ast.Expr {
	at := -1
	switch name, on := calledAs(call); {
	case name == "LogAttrs", name == "NewRecord", name == "textLog":
		at = 2
		if level, is := call.Args[1].(*ast.SelectorExpr); is && level.Sel.Name == "LevelDebug" {
			return nil
		}
	case !strings.EqualFold(on, "log") && !strings.EqualFold(on, "logger"):
	case name == "Info", name == "Warn", name == "Error":
		at = 0
	case name == "InfoContext", name == "WarnContext", name == "ErrorContext":
		at = 1
	}
	if at < 0 || at >= len(call.Args) {
		return nil
	}
	return call.Args[at]
}

// calledAs returns the name of the called function, and the last name of what it is called on.
func calledAs(call *ast.CallExpr) (name, on string) {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name, ""
	case *ast.SelectorExpr:
		switch x := fun.X.(type) {
		case *ast.Ident:
			on = x.Name
		case *ast.SelectorExpr:
			on = x.Sel.Name
		}
		return fun.Sel.Name, on
	}
	return "", ""
}

// textOf returns a text that is written in the code, or put together of such texts and of constants.
func textOf(e ast.Expr, constants map[string]string) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		text, ok = constants[e.Name]
	case *ast.BinaryExpr:
		left, okLeft := textOf(e.X, constants)
		right, okRight := textOf(e.Y, constants)
		return left + right, okLeft && okRight
	}
	return text, ok
}

// noteFields notes the names of all slog attributes in a directory's code, but for its tests.
func noteFields(t *testing.T, root string, used map[string]bool) {
	t.Helper()
	eachFile(t, root, func(file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			of, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if from, ok := of.X.(*ast.Ident); !ok || from.Name != "slog" {
				return true
			}
			if literal, ok := call.Args[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				name, _ := strconv.Unquote(literal.Value)
				used[name] = true
			}
			return true
		})
	})
}

// eachFile parses a directory's code, but for its tests.
func eachFile(t *testing.T, root string, visit func(*ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testkit") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
