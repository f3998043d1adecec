package main

import (
	"context"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// helpText is a flag's help: its meaning, its default and its environment variable.
func helpText(value *kong.Value) string {
	text := value.Help
	if value.HasDefault && value.Default != "" {
		text += " Default: " + value.Default + "."
	}
	if value.Flag != nil && value.Tag.Has(settingTag) {
		text += " $" + envName(value.Name)
	}
	return text
}

// helpCommand shows the help of a command.
type helpCommand struct {
	Command []string `arg:"" help:"The command, such as deadletters list." name:"command" optional:""`
}

// Help shows examples.
func (*helpCommand) Help() string {
	return `Shows what the command shows with -h:

    convdel help
    convdel help deadletters list`
}

// Run shows the help, as -h does.
func (h *helpCommand) Run(ctx context.Context, con *console) error {
	if execute(ctx, append(slices.Clone(h.Command), "--help"), con) != exitDone {
		return &usageError{} // it has been told
	}
	return nil
}

// helpWidth is the width of help texts.
const helpWidth = 80

// printHelp adds the flags of every command to the help of all commands together.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	say(ctx.Stdout, "\nAll flags, with their defaults:\n")
	for _, command := range ctx.Model.Leaves(true) {
		if len(command.Flags) > 0 {
			printFlags(ctx, command)
		}
	}
	return nil
}

// printFlags prints a command's flags in a paragraph.
func printFlags(ctx *kong.Context, command *kong.Command) {
	const indent = "            "
	words := []string{command.Path()}
	for _, argument := range command.Positional {
		words = append(words, argument.Summary())
	}
	name := strings.Join(words, " ")
	line := "  " + name + strings.Repeat(" ", max(0, len(indent)-3-len(name)))
	if len(line) >= len(indent) { // no room for text beside it
		say(ctx.Stdout, "%s\n", line)
		line = indent[:len(indent)-1]
	}
	for _, flag := range command.Flags {
		word := " --" + flag.Name
		switch {
		case flag.IsBool():
		case flag.HasDefault:
			word += "=" + flag.Default
		default:
			word += "=" + flag.FormatPlaceHolder()
		}
		if len(line)+len(word) > helpWidth && len(line) >= len(indent) {
			say(ctx.Stdout, "%s\n", line)
			line = indent[:len(indent)-1]
		}
		line += word
	}
	say(ctx.Stdout, "%s\n", line)
}
