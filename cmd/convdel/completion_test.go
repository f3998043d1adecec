package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// script is what `completion` writes for a shell.
func script(t *testing.T, shell string) string {
	t.Helper()
	run := invoke(t, nil, "", "completion", shell)
	if run.status != exitDone || run.stderr != "" {
		t.Fatalf("completion %s: status %d, %s", shell, run.status, run.stderr)
	}
	return run.stdout
}

// TestCompletionBash: bash itself completes command lines with the script.
func TestCompletionBash(t *testing.T) {
	t.Parallel()
	const ask = `
set -euo pipefail
ask() { # the words of a command line, as bash takes them apart
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _convdel
  echo "${COMPREPLY[*]}"
}
`
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ line, want string }{
		{"convdel ru", "run"},
		{"convdel dead", "deadletters"},
		{"convdel deadletters re", "replay"},
		{"convdel deadletters list --set", "--settled"},
		{"convdel deadletters list --class ex", "exhausted expired"},
		{"convdel deadletters list --class exhausted,per", "exhausted,permanent"},
		{"convdel run --kafka-s", "--kafka-sasl"},
		{"convdel run --kafka-sasl scram-sha-5", "scram-sha-512"},
		{"convdel run --quota = re", "redis"},
		{"convdel check --format = ", "table json ndjson"},
		{"convdel check --format nd", "ndjson"},
		{"convdel erase alice --format ", "table json"},
		{"convdel check --group run --forma", "--format"},
		{"convdel run --brokers ", ""},
		{"convdel run --kafka-tls --im-e", "--im-endpoint"},
		{"convdel run --kafka-ca-file " + strings.TrimSuffix(file, ".pem"), file},
		{"convdel completion ", "bash zsh fish"},
		{"convdel help che", "check"},
		{"convdel --ver", "--version"},
	}
	var input strings.Builder
	input.WriteString(script(t, "bash") + ask)
	for _, c := range cases {
		input.WriteString("ask")
		for word := range strings.SplitSeq(c.line, " ") {
			input.WriteString(" " + shellQuote(word))
		}
		input.WriteString("\n")
	}
	input.WriteString("complete -p convdel\n")
	command := exec.CommandContext(t.Context(), "bash", "--norc", "-s")
	command.Stdin = strings.NewReader(input.String())
	out, err := command.CombinedOutput()
	answers := strings.Split(string(out), "\n")
	if err != nil || len(answers) != len(cases)+2 || answers[len(cases)] != "complete -F _convdel convdel" {
		t.Fatalf("%v:\n%s", err, out)
	}
	for i, c := range cases {
		got := strings.ReplaceAll(answers[i], "--help --version ", "")
		if c.want == "bash zsh fish" && strings.HasSuffix(got, c.want) { // behind the flags
			got = c.want
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
}

// TestCompletionsHaveEverything: each script has each command, each flag, and each word that a flag may be.
func TestCompletionsHaveEverything(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text := script(t, shell)
		for _, c := range completionsOf(model(t)) {
			for _, f := range slices.Concat(c.flags, c.commands) {
				lines := 0
				for line := range strings.Lines(text) {
					if strings.Contains(line, c.path) && strings.Contains(line, strings.TrimPrefix(f.name, "--")) {
						lines++
					}
				}
				if lines == 0 {
					t.Errorf("%s lacks %s of %s", shell, f.name, c.path)
				}
				if words := strings.Join(f.words, " "); !strings.Contains(text, words) {
					t.Errorf("%s lacks the words of %s %s: %s", shell, c.path, f.name, words)
				}
			}
		}
	}
	// The other shells are tried where they are.
	for shell, args := range map[string][]string{"zsh": {"-n", "/dev/stdin"}, "fish": {"-n", "/dev/stdin"}, "bash": {"-n", "/dev/stdin"}} {
		if path, err := exec.LookPath(shell); err == nil {
			command := exec.CommandContext(t.Context(), path, args...)
			command.Stdin = strings.NewReader(script(t, shell))
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s does not take its script: %v\n%s", shell, err, out)
			}
		}
	}
}

var mustBe = regexp.MustCompile(`--([a-z-]+)[^:]*is "no-such-word": must be one of (.*)`)

// TestCompletionWords: the words that completion offers are those that the command accepts.
func TestCompletionWords(t *testing.T) {
	t.Parallel()
	// Some commands need more, or do what they are for before they look at all flags.
	bad := map[string][]string{"demo": {"--events=x"}, "imsim": {"--page-size=x"}, "erase": {"a"}, "deadletters show": {"x"}, "publish": {"--from=a"}}
	checked := 0
	for _, command := range model(t).Leaves(true) {
		args := slices.Concat(strings.Fields(command.Path()), bad[command.Path()])
		tagged := map[string]string{}
		for _, flag := range command.Flags {
			if flag.IsBool() || flag.Name == "start" || flag.Name == "brokers" {
				continue
			}
			args = append(args, "--"+flag.Name+"=no-such-word")
			tagged[flag.Name] = strings.Join(wordsOf(flag.Tag), ", ")
		}
		run := invoke(t, nil, "", args...)
		for _, found := range mustBe.FindAllStringSubmatch(run.stderr, -1) {
			checked++
			if want := found[2]; tagged[found[1]] != want {
				t.Errorf("%s --%s: completion offers %s, the command accepts %s", command.Path(), found[1], tagged[found[1]], want)
			}
		}
	}
	if checked < 12 {
		t.Errorf("only %d flags were checked", checked)
	}
}

// TestCompletionShell: another shell is wrong usage.
func TestCompletionShell(t *testing.T) {
	t.Parallel()
	if run := invoke(t, nil, "", "completion", "tcsh"); run.status != exitUsage || run.stdout != "" || !strings.Contains(run.stderr, "one of bash, zsh, fish") {
		t.Errorf("status %d: %s%s", run.status, run.stdout, run.stderr)
	}
}
