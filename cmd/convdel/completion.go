package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// wordsTag marks a flag or argument that takes one of a few words, with commas between them. Completion offers these words.
const wordsTag = "words"

// completionCommand writes a script that makes a shell complete command lines.
type completionCommand struct {
	Shell string `arg:"" help:"bash, zsh or fish." name:"shell" words:"bash,zsh,fish"`
}

// Help explains more than the flags' texts can.
func (*completionCommand) Help() string {
	return `Writes a script to standard output that completes commands, flags, and the values of flags that take one of a
few words. It runs nothing at a keystroke. Each version has its own script.

    source <(convdel completion bash)                                   # in ~/.bashrc
    convdel completion zsh > "${fpath[1]}/_convdel"
    convdel completion fish > ~/.config/fish/completions/convdel.fish`
}

// Run writes the script.
func (s *completionCommand) Run(con *console) error {
	var c checker
	c.flagsOnly = []string{"shell"}
	c.oneOf("shell", s.Shell, "bash", "zsh", "fish")
	if err := c.err(); err != nil {
		return err
	}
	parser, err := newParser(&commands{}, con, func(int) {})
	if err != nil {
		return err
	}
	tree := completionsOf(parser.Model)
	script := map[string]func([]completions) string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[s.Shell]
	_, err = io.WriteString(con.stdout, script(tree))
	return err
}

// completions is what may follow a command.
type completions struct {
	// path is the command with its parents, such as "convdel deadletters list".
	path     string
	commands []completion
	flags    []completion
	// arguments are words that the first argument may be.
	arguments []string
}

// completion is a command or a flag.
type completion struct {
	name, help string
	// value says that a flag takes a value, file that the value is a file's name, words which words it may be.
	value, file bool
	words       []string
}

// completionsOf returns all commands with what may follow them, parents first.
func completionsOf(model *kong.Application) []completions {
	var all []completions
	var add func(path string, n *kong.Node)
	add = func(path string, n *kong.Node) {
		c := completions{path: path}
		for _, child := range n.Children {
			if !child.Hidden {
				c.commands = append(c.commands, completion{name: child.Name, help: firstSentence(child.Help)})
			}
		}
		for _, flags := range n.AllFlags(true) {
			for _, f := range flags {
				c.flags = append(c.flags, completionOf(f))
			}
		}
		for _, argument := range n.Positional {
			c.arguments = append(c.arguments, wordsOf(argument.Tag)...)
			if argument.Name == "command" { // help takes what convdel takes
				for _, child := range model.Children {
					c.arguments = append(c.arguments, child.Name)
				}
			}
		}
		all = append(all, c)
		for _, child := range n.Children {
			if !child.Hidden {
				add(path+" "+child.Name, child)
			}
		}
	}
	add(model.Name, model.Node)
	return all
}

func completionOf(f *kong.Flag) completion {
	return completion{
		name: "--" + f.Name, help: firstSentence(f.Help), value: !f.IsBool(), words: wordsOf(f.Tag),
		file: f.PlaceHolder == "FILE" || f.PlaceHolder == "DIR",
	}
}

func wordsOf(tag *kong.Tag) []string {
	if !tag.Has(wordsTag) {
		return nil
	}
	return strings.Split(tag.Get(wordsTag), ",")
}

// firstSentence shortens a help text to what fits beside a flag.
func firstSentence(help string) string {
	if end := strings.Index(help, ". "); end >= 0 {
		help = help[:end]
	}
	return fit(strings.TrimSuffix(help, "."), 76)
}

// bashScript needs nothing but bash. Bash takes --flag=value apart at the equals sign.
func bashScript(tree []completions) string {
	var b strings.Builder
	b.WriteString(`# bash completion of convdel: source <(convdel completion bash)
_convdel() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=convdel words= file= value= before= i
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path ${COMP_WORDS[i]}" in
`)
	fmt.Fprintf(&b, "      %s) path+=\" ${COMP_WORDS[i]}\" ;;\n    esac\n  done\n  case \"$path $prev\" in\n", strings.Join(quotedPaths(tree[1:]), " | "))
	for _, c := range tree {
		for _, f := range c.flags {
			pattern := quotedPath(c.path + " " + f.name)
			switch {
			case len(f.words) > 0:
				fmt.Fprintf(&b, "    %s) value=1 words=%s ;;\n", pattern, shellQuote(strings.Join(f.words, " ")))
			case f.file:
				fmt.Fprintf(&b, "    %s) value=1 file=1 ;;\n", pattern)
			case f.value:
				fmt.Fprintf(&b, "    %s) value=1 ;;\n", pattern)
			}
		}
	}
	b.WriteString("  esac\n  [[ $value ]] || case $path in\n")
	for _, c := range tree {
		fmt.Fprintf(&b, "    %s) words=%s ;;\n", quotedPath(c.path), shellQuote(strings.Join(c.names(), " ")))
	}
	b.WriteString(`  esac
  if [[ $file ]]; then
    compopt -o filenames 2>/dev/null || true
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    return
  fi
  if [[ $value && $cur == *,* ]]; then
    before=${cur%,*},
    cur=${cur##*,}
  fi
  mapfile -t COMPREPLY < <(compgen -P "$before" -W "$words" -- "$cur")
}
complete -F _convdel convdel
`)
	return b.String()
}

// names are all words that may come next.
func (c *completions) names() []string {
	var names []string
	for _, each := range [][]completion{c.commands, c.flags} {
		for _, one := range each {
			names = append(names, one.name)
		}
	}
	return append(names, c.arguments...)
}

func quotedPath(path string) string { return `"` + path + `"` }

func quotedPaths(tree []completions) []string {
	paths := make([]string, len(tree))
	for i, c := range tree {
		paths[i] = quotedPath(c.path)
	}
	return paths
}

// shellQuote makes one word of a text, for all three shells, as long as there is no backslash before a quote in it.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
