package main

import (
	"fmt"
	"strings"
)

// zshScript is a function for a directory in fpath, which can be sourced as well.
func zshScript(tree []completions) string {
	var b strings.Builder
	b.WriteString(`#compdef convdel
# zsh completion of convdel: convdel completion zsh > "${fpath[1]}/_convdel"
_convdel() {
  local path_=convdel prev=${words[CURRENT-1]} value= file= i
  local -a next values
  if [[ ${words[CURRENT]} == --*=* ]]; then
    prev=${words[CURRENT]%%=*}
    compset -P '*='
  fi
  for ((i = 2; i < CURRENT; i++)); do
    case "$path_ ${words[i]}" in
`)
	// Each alternative is quoted, so it is no pattern.
	paths := strings.Join(quotedPaths(tree[1:]), " | ")
	fmt.Fprintf(&b, "      %s) path_+=\" ${words[i]}\" ;;\n    esac\n  done\n  case \"$path_ $prev\" in\n", strings.ReplaceAll(paths, " | ", "|"))
	for _, c := range tree {
		for _, f := range c.flags {
			pattern := quotedPath(c.path + " " + f.name)
			switch {
			case len(f.words) > 0:
				fmt.Fprintf(&b, "    %s) value=1 values=(%s) ;;\n", pattern, strings.Join(f.words, " "))
			case f.file:
				fmt.Fprintf(&b, "    %s) value=1 file=1 ;;\n", pattern)
			case f.value:
				fmt.Fprintf(&b, "    %s) value=1 ;;\n", pattern)
			}
		}
	}
	b.WriteString(`  esac
  if [[ -n $file ]]; then
    _files
    return
  elif [[ -n $value ]]; then
    compset -P '*,'
    compadd -a values
    return
  fi
  case $path_ in
`)
	for _, c := range tree {
		fmt.Fprintf(&b, "    %s) next=(%s) ;;\n", quotedPath(c.path), strings.Join(c.described(), " "))
	}
	b.WriteString(`  esac
  _describe 'convdel' next
}
if [[ $funcstack[1] == _convdel ]]; then
  _convdel "$@"
else
  compdef _convdel convdel
fi
`)
	return b.String()
}

// described are all words that may come next, as zsh's _describe takes them.
func (c *completions) described() []string {
	var next []string
	for _, each := range [][]completion{c.commands, c.flags} {
		for _, one := range each {
			next = append(next, shellQuote(one.name+":"+one.help))
		}
	}
	for _, word := range c.arguments {
		next = append(next, shellQuote(word))
	}
	return next
}

// fishScript is a file for ~/.config/fish/completions.
func fishScript(tree []completions) string {
	var b strings.Builder
	b.WriteString("# fish completion of convdel: convdel completion fish > ~/.config/fish/completions/convdel.fish\nset -g __convdel_commands")
	for _, c := range tree[1:] {
		b.WriteString(" " + fishQuote(c.path))
	}
	b.WriteString(`
function __convdel_at
    set -l path convdel
    for word in (commandline -opc)[2..-1]
        if contains -- "$path $word" $__convdel_commands
            set path "$path $word"
        end
    end
    test "$path" = "$argv[1]"
end
complete -c convdel -f
`)
	for _, c := range tree {
		at := "complete -c convdel -n " + fishQuote("__convdel_at "+fishQuote(c.path))
		for _, one := range c.commands {
			fmt.Fprintf(&b, "%s -a %s -d %s\n", at, one.name, fishQuote(one.help))
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "%s -l %s%s -d %s\n", at, strings.TrimPrefix(f.name, "--"), fishValue(f), fishQuote(f.help))
		}
		if len(c.arguments) > 0 {
			fmt.Fprintf(&b, "%s -a %s\n", at, fishQuote(strings.Join(c.arguments, " ")))
		}
	}
	return b.String()
}

// fishValue says what a flag takes.
func fishValue(f completion) string {
	switch {
	case len(f.words) > 0:
		return " -x -a " + fishQuote(strings.Join(f.words, " "))
	case f.file:
		return " -r -F"
	case f.value:
		return " -x"
	}
	return ""
}

// fishQuote makes one word of a text. In fish a backslash stands for a quote between quotes.
func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}
