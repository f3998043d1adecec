package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/alecthomas/kong"

	"convdel/consumer/cluster"
	"convdel/imclient"
	"convdel/schema"
)

// These are the exit statuses of all commands.
const (
	exitDone   = 0
	exitFailed = 1 // it failed while running
	exitUsage  = 2 // wrong usage or settings: nothing was done
	// These are statuses of wait and erase.
	exitUnfinished = 3 // not all has ended in the time given
	exitExceptions = 4 // all has ended, and not all was deleted
	// exitUnread is what a shell reports of a program that SIGPIPE has ended: the reader of its output has gone away.
	exitUnread = 141
)

// commands are all commands of convdel.
type commands struct {
	Run         runCommand         `cmd:"" help:"Run the service: consume events, delete conversations, commit."`
	Demo        demoCommand        `cmd:"" help:"See it work: broker, API simulator and service in one process, with nothing to install."`
	Publish     publishCommand     `cmd:"" help:"Publish events, from flags or from lines of JSON on standard input."`
	Wait        waitCommand        `cmd:"" help:"Wait until published events have ended, and say how."`
	Erase       eraseCommand       `cmd:"" help:"Erase all conversations of an account: list, publish, wait, verify, report."`
	Check       checkCommand       `cmd:"" help:"Try everything that run needs, and say what is wrong and what to do. It changes nothing."`
	Status      statusCommand      `cmd:"" help:"Show what the replicas are doing, why not, and how long still."`
	Events      eventsCommand      `cmd:"" help:"Find out what has become of events."`
	Deadletters deadlettersCommand `cmd:"" help:"Look at dead letters and settle them."`
	Imsim       imsimCommand       `cmd:"" help:"Run the simulator of Tencent IM's API alone."`
	Completion  completionCommand  `cmd:"" help:"Write a script that makes bash, zsh or fish complete command lines."`
	HelpOn      helpCommand        `cmd:"" help:"Show the help of a command, or of all." name:"help"`
	Version     versionCommand     `cmd:"" help:"Print version, commit and Go version."`

	ShowVersion kong.VersionFlag `help:"Print version, commit and Go version." name:"version"`
}

const description = `convdel empties the Kafka topic conversation.delete.requested by deleting each
conversation through Tencent IM, within the API's quota, losing no event.

Every setting is a flag and an environment variable: --im-endpoint is
CONVDEL_IM_ENDPOINT. The flag wins.

Exit status: 0 done; 1 it failed while running; 2 wrong usage or settings; wait
and erase also 3, not finished in the time, and 4, finished with exceptions.`

// console is the part of the process that a command may use.
type console struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// env looks up an environment variable.
	env func(name string) (string, bool)
	// libraries is where the output of libraries goes; nil in tests.
	libraries *libraryLog
	// environ are all environment variables, as NAME=value. unknown is what is wrong with their names; nil if nothing is.
	environ []string
	unknown *usageError
	// atOnce is called before the process ends without a drain, with the signal's name; nil if nothing is to be said.
	atOnce atomic.Pointer[func(signal string)]
}

// say writes a line for people. It ignores errors, since there is nobody else to report them to.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// usageError is a wrong command line or wrong settings, with a line for each mistake.
type usageError struct{ lines []string }

func (e *usageError) Error() string { return strings.Join(e.lines, "\n") }

// These are results of wait and erase that they have reported.
var (
	errUnfinished = errors.New("not finished in the time given")
	errExceptions = errors.New("finished with exceptions")
)

// errReported is a failure that the command has already reported.
var errReported = errors.New("failed, as reported")

// execute runs the command named by args until it ends or ctx does, and returns the exit status.
func execute(ctx context.Context, args []string, con *console) int {
	var shown bool // a help text was shown
	parser, err := newParser(&commands{}, con, func(int) { shown = true })
	if err != nil {
		return report(con, err)
	}
	status := exitDone
	if !namesCommand(args) { // the help is shown, but it was not asked for
		args, status, parser.Stdout = append(args, "--help"), exitUsage, con.stderr
	}
	parsed, err := parser.Parse(args)
	if shown {
		return status
	}
	if err != nil {
		return report(con, parseError(err))
	}
	con.unknown = unknownVariables(con.environ, knownVariables(parser.Model))
	if con.unknown != nil && !allowsUnknown(parsed) {
		return report(con, con.unknown)
	}
	if err := repeatedFlags(parsed); err != nil {
		return report(con, err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return report(con, parsed.Run(con))
}

// allowsUnknown returns true if a command goes on although there are variables that look like settings and are none.
func allowsUnknown(parsed *kong.Context) bool {
	_, allows := reflect.TypeAssert[interface{ allowsUnknownVariables() }](parsed.Selected().Target.Addr())
	return allows
}

// namesCommand returns true if args name a command.
func namesCommand(args []string) bool {
	return len(args) > 1 || len(args) == 1 && args[0] != deadlettersName && args[0] != eventsName
}

// newParser builds the command line of cmds. quit is called after a help text.
func newParser(cmds *commands, con *console, quit func(int)) (*kong.Kong, error) {
	var aside []*kong.Node
	parser, err := kong.New(cmds,
		kong.Name("convdel"),
		kong.Description(description),
		kong.Vars{"version": readBuild().String()},
		kong.ShortUsageOnError(),
		kong.Writers(con.stdout, con.stderr),
		kong.Exit(quit),
		kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
			return fromEnvironment(con, flag)
		})),
		kong.ExplicitGroups(flagGroups()),
		kong.Help(printHelp),
		kong.ValueFormatter(helpText),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoAppDescFormat: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		// Kong looks for variables in each text of each flag by a regular expression. With the race detector, tests would spend a
		// third of their time there. So kong finds no commands then, and fillIn does it.
		kong.PostBuild(func(k *kong.Kong) error {
			aside, k.Model.Children = k.Model.Children, nil
			return nil
		}),
	)
	if err != nil {
		return nil, err
	}
	parser.Model.Children = aside
	return parser, kong.Visit(parser.Model, fillIn)
}

// fillIn puts the values of variables into the texts of flags.
func fillIn(node kong.Visitable, next kong.Next) error {
	if value, ok := node.(*kong.Value); ok {
		value.Default, value.Help = withVariables(value.Default, value.Tag.Vars), withVariables(value.Help, value.Tag.Vars)
	}
	return next(nil)
}

// withVariables returns a text with the values of its variables. A flag may have its own.
func withVariables(text string, own kong.Vars) string {
	if !strings.Contains(text, "${") {
		return text
	}
	return os.Expand(text, func(name string) string {
		if value, ok := own[name]; ok {
			return value
		}
		return map[string]string{"topic": schema.Topic, "brokers_when": "Required."}[name]
	})
}

// fromEnvironment returns the value of a setting whose flag is not on the command line.
func fromEnvironment(con *console, flag *kong.Flag) (any, error) {
	if !flag.Tag.Has(settingTag) {
		return nil, nil //nolint:nilnil // kong's way to say that there is none
	}
	if value, ok := con.env(envName(flag.Name)); ok {
		return value, nil
	}
	return nil, nil //nolint:nilnil // kong's way to say that there is none
}

// parseError turns kong's error into lines that name the command with help.
func parseError(err error) error {
	var parse *kong.ParseError
	command := ""
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		command = " " + parse.Context.Selected().Path()
	}
	text := visible(err.Error())
	if argument, found := strings.CutPrefix(text, "unexpected argument "); found {
		text = "unexpected argument " + withoutSecrets(argument)
	}
	if flag, found := strings.CutSuffix(text, `: expected string value but got "EOL" (<EOL>)`); found {
		text = flag + " needs a value"
	}
	return &usageError{lines: []string{text, fmt.Sprintf("see \"convdel%s -h\"", command)}}
}

// withoutSecrets leaves the value out of a variable that stands where an argument belongs, and masks what looks like a key.
func withoutSecrets(argument string) string {
	if name, _, found := strings.Cut(argument, "="); found && strings.HasPrefix(name, envPrefix) {
		return name + "=…"
	}
	return imclient.Scrub(argument)
}

// report writes an error, line by line, and returns its exit status.
func report(con *console, err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case con.unread() && onlyUnread(err):
		return exitUnread
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errUnfinished):
		return exitUnfinished
	case errors.Is(err, errExceptions):
		return exitExceptions
	case errors.As(err, &usage):
		for _, line := range usage.lines {
			say(con.stderr, "convdel: %s\n", line)
		}
		return exitUsage
	default:
		if refusal := cluster.Refusal(err); refusal != nil {
			err = refusal // it names the settings to check
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			say(con.stderr, "convdel: %s\n", line)
		}
		return exitFailed
	}
}
