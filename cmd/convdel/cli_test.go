package main

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"convdel/schema"
)

// model builds the command line.
func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(new(commands), &console{env: environment{}.lookup}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

// TestVariablesOfTextsAreFilledIn: a flag may have its own value of a variable.
func TestVariablesOfTextsAreFilledIn(t *testing.T) {
	t.Parallel()
	texts := map[string]*kong.Flag{}
	for _, command := range model(t).Leaves(false) {
		for _, flag := range command.Flags {
			texts[command.Name+" --"+flag.Name] = flag
			if strings.Contains(flag.Default+flag.Help+flag.PlaceHolder+flag.Enum, "${") {
				t.Errorf("%s --%s: default %q, help %q", command.Name, flag.Name, flag.Default, flag.Help)
			}
		}
		if strings.Contains(command.Help, "${") {
			t.Errorf("%s: %q", command.Name, command.Help)
		}
	}
	if topic := texts["run --topic"]; topic.Default != schema.Topic {
		t.Errorf("the topic is %q by default", topic.Default)
	}
	for name, want := range map[string]string{"run --brokers": " Required.", "status --brokers": " Asked if no replica answers."} {
		if help := texts[name].Help; !strings.HasSuffix(help, want) {
			t.Errorf("%s: %q, want %q", name, help, want)
		}
	}
}

func TestHelpShowsTheWholeSurface(t *testing.T) {
	t.Parallel()
	top := invoke(t, nil, "", "-h")
	if top.status != exitDone || top.stderr != "" {
		t.Fatalf("status %d, stderr %q", top.status, top.stderr)
	}
	var names []string
	for _, command := range model(t).Leaves(true) {
		names = append(names, command.Path())
		if !strings.Contains(strings.ReplaceAll(top.stdout, "\n", " \n"), " \n  "+command.Path()+" ") {
			t.Errorf("convdel -h does not show %s:\n%s", command.Path(), top.stdout)
		}
		help := invoke(t, nil, "", append(strings.Fields(command.Path()), "-h")...)
		if help.status != exitDone {
			t.Errorf("%s -h: status %d", command.Name, help.status)
		}
		for line := range strings.SplitSeq(help.stdout, "\n") {
			if len([]rune(line)) > 100 {
				t.Errorf("%s -h has a line of over 100 characters: %q", command.Name, line)
			}
		}
		flat := strings.Join(strings.Fields(help.stdout), " ")
		for _, flag := range command.Flags {
			if !strings.Contains(flat, "--"+flag.Name) {
				t.Errorf("%s -h does not show --%s", command.Name, flag.Name)
			}
			if synopsis := "--" + flag.Name + "=" + flag.Default; !strings.Contains(top.stdout, strings.TrimSuffix(synopsis, "=")) && !flag.IsBool() {
				t.Errorf("convdel -h does not show %s of %s", synopsis, command.Name)
			}
			if flag.HasDefault && flag.Default != "" && !strings.Contains(flat, "Default: "+flag.Default+".") {
				t.Errorf("%s -h does not show the default of --%s, %q", command.Name, flag.Name, flag.Default)
			}
			if flag.Tag.Has(settingTag) && !strings.Contains(flat, "$"+envName(flag.Name)) {
				t.Errorf("%s -h does not show $%s", command.Name, envName(flag.Name))
			}
		}
	}
	want := []string{
		"run", "demo", "publish", "wait", "erase", "check", "status", "events find", "deadletters list", "deadletters show", "deadletters replay",
		"deadletters discard", "deadletters export", "imsim", "completion", "help", "version",
	}
	if !slices.Equal(names, want) {
		t.Errorf("commands %v, want %v", names, want)
	}
}

func TestHelpNamesSecrets(t *testing.T) {
	t.Parallel()
	env := environment{
		"CONVDEL_IM_SECRET_KEY": testSecretKey, "CONVDEL_KAFKA_PASSWORD": testPassword,
		"CONVDEL_KAFKA_PASSWORD_FILE": "/" + testPassword,
	}
	help := invoke(t, env, "", "run", "-h").stdout
	for _, name := range []string{"IM_SECRET_KEY", "IM_SECRET_KEY_FILE", "KAFKA_PASSWORD", "KAFKA_PASSWORD_FILE"} {
		if !strings.Contains(help, "$CONVDEL_"+name) {
			t.Errorf("run -h does not name CONVDEL_%s", name)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"frob"}, []string{"unexpected argument frob", `see "convdel -h"`}},
		{[]string{"run", "--frob"}, []string{"unknown flag --frob", `see "convdel run -h"`}},
		{[]string{"run", "--brokers"}, []string{"--brokers needs a value"}},
		{[]string{"publish", "--no-such"}, []string{`see "convdel publish -h"`}},
		{[]string{"version", "extra"}, []string{"unexpected argument extra"}},
		{nil, []string{"Usage: convdel <command>", "demo", "run"}},
		{[]string{"deadletters"}, []string{"Usage: convdel deadletters <command>", "replay", "--summary"}},
		{[]string{"deadletters", "frob"}, []string{"unexpected argument frob", `see "convdel deadletters -h"`}},
		{[]string{"deadletters", "show", "--frob"}, []string{`see "convdel deadletters show -h"`}},
		{[]string{"deadletters", "show"}, []string{`expected "<id>"`, `see "convdel deadletters show -h"`}},
	} {
		run := invoke(t, nil, "", c.args...)
		if run.status != exitUsage || run.stdout != "" {
			t.Errorf("%v: status %d, stdout %q", c.args, run.status, run.stdout)
		}
		for _, want := range c.want {
			if !strings.Contains(run.stderr, want) {
				t.Errorf("%v: stderr lacks %q:\n%s", c.args, want, run.stderr)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"version", "--version"} {
		run := invoke(t, nil, "", arg)
		if run.status != exitDone || !strings.HasPrefix(run.stdout, "convdel ") || strings.Count(run.stdout, "\n") != 1 ||
			!strings.Contains(run.stdout, "commit ") || !strings.Contains(run.stdout, runtime.Version()) {
			t.Errorf("%s: status %d, stdout %q", arg, run.status, run.stdout)
		}
	}
	for _, format := range []string{"json", "ndjson"} {
		run := invoke(t, nil, "", "version", "--format", format)
		if row := readJSON[versionRow](t, run.stdout); row.Go != runtime.Version() || row.Version == "" || row.Commit == "" {
			t.Errorf("%s: %s", format, run.stdout)
		}
	}
}

// TestHelpHasExamples: the help of each command has an example of it, and each example parses.
func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	for _, command := range model(t).Leaves(true) {
		help := invoke(t, nil, "", append(strings.Fields(command.Path()), "-h")...).stdout
		examples := 0
		for line := range strings.Lines(help) {
			_, example, found := strings.Cut(line, "convdel "+command.Path())
			if !found || !strings.HasPrefix(line, "    ") {
				continue
			}
			examples++
			flags, _, _ := strings.Cut(example, "|")
			for word := range strings.FieldsSeq(flags) {
				name, _, _ := strings.Cut(word, "=")
				known := slices.ContainsFunc(command.AllFlags(false), func(group []*kong.Flag) bool {
					return slices.ContainsFunc(group, func(f *kong.Flag) bool { return "--"+f.Name == name })
				})
				if strings.HasPrefix(name, "--") && !known {
					t.Errorf("%s -h: %q has no flag of it: %s", command.Path(), strings.TrimSpace(line), name)
				}
			}
		}
		if examples == 0 {
			t.Errorf("%s -h has no example:\n%s", command.Path(), help)
		}
	}
}

// TestHelpRequires: a command asks for brokers where it can't do without them, and says when it uses them otherwise.
func TestHelpRequires(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"run", "check", "publish", "deadletters list"} {
		if help := invoke(t, nil, "", append(strings.Fields(command), "-h")...).stdout; !strings.Contains(help, "Required. $CONVDEL_BROKERS") {
			t.Errorf("%s -h does not say that brokers are required", command)
		}
	}
	if help := invoke(t, nil, "", "status", "-h").stdout; strings.Contains(help, "Required") || !strings.Contains(help, "Asked if no replica answers.") {
		t.Error(help)
	}
}

// TestHelpCommand: help shows what -h shows.
func TestHelpCommand(t *testing.T) {
	t.Parallel()
	for _, c := range [][]string{nil, {"run"}, {"deadletters"}, {"deadletters", "list"}, {"help"}} {
		asked := invoke(t, nil, "", append([]string{"help"}, c...)...)
		shown := invoke(t, nil, "", append(slices.Clone(c), "-h")...)
		if asked.status != exitDone || asked.stdout == "" || asked.stdout != shown.stdout || asked.stderr != "" {
			t.Errorf("help %v: status %d\n%s%s", c, asked.status, asked.stdout, asked.stderr)
		}
	}
	if run := invoke(t, nil, "", "help", "frob"); run.status != exitUsage || !strings.Contains(run.stderr, "unexpected argument frob") {
		t.Errorf("help frob: status %d, %s", run.status, run.stderr)
	}
}
