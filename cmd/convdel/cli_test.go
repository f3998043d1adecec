package main

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
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
		"run", "demo", "publish", "wait", "erase", "status", "events find", "deadletters list", "deadletters show", "deadletters replay", "deadletters discard",
		"deadletters export", "imsim", "version",
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
	run := invoke(t, nil, "", "version")
	if run.status != exitDone || !strings.HasPrefix(run.stdout, "convdel ") ||
		!strings.Contains(run.stdout, "commit ") || !strings.Contains(run.stdout, runtime.Version()) {
		t.Errorf("status %d, stdout %q", run.status, run.stdout)
	}
}
