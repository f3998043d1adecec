package main

import "io"

// coloured says whether text that goes to w has colours: on a terminal, unless NO_COLOR is set or CLICOLOR is 0. CLICOLOR_FORCE sets colours
// without a terminal, too (no-color.org, bixense.com/clicolors).
func coloured(w io.Writer, env func(name string) (string, bool)) bool {
	set := func(name string) string {
		text, _ := env(name)
		return text
	}
	switch {
	case set("NO_COLOR") != "":
		return false
	case set("CLICOLOR_FORCE") != "" && set("CLICOLOR_FORCE") != "0":
		return true
	}
	return isTerminal(w) && set("CLICOLOR") != "0"
}

// colours says whether the console's text that goes to w has colours.
func (con *console) colours(w io.Writer) bool { return coloured(w, con.env) }

// paint colours words, unless it is not on.
type paint struct{ on bool }

func (p paint) with(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) red(text string) string    { return p.with("1;31", text) }
func (p paint) green(text string) string  { return p.with("32", text) }
func (p paint) yellow(text string) string { return p.with("33", text) }
