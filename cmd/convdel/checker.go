package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"convdel/consumer/cluster"
	"convdel/internal/service"
)

// checker reads settings from their texts. It continues after a wrong one, so that an operator learns of all of them at
// once. It remembers what it has read, for the log line at the start.
type checker struct {
	problems []string
	// faulty are the flags, and the secrets' variables, that the problems are about.
	faulty []string
	// warnings are about settings that are allowed but rarely intended. files are those that secrets come from.
	warnings []string
	files    []service.SecretFile
	// read holds each setting with the text that counts, except secrets. derived are those that follow from other settings.
	read    []slog.Attr
	derived []string
	// flagsOnly are the flags without an environment variable.
	flagsOnly []string
}

// envPrefix begins the names of all settings' environment variables.
const envPrefix = "CONVDEL_"

// envName is the environment variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// err returns the error that stops the start; nil if all settings are right.
func (c *checker) err() error {
	if len(c.problems) == 0 {
		return nil
	}
	return &usageError{lines: c.problems}
}

// note remembers a setting for the log.
func (c *checker) note(flag, text string) { c.read = append(c.read, slog.String(logKey(flag), text)) }

// logKey is the name of a flag in the log.
func logKey(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// split returns the settings that have been read: those that differ from their defaults, and the others. defaults has the default
// texts by flag.
func (c *checker) split(defaults map[string]string) (set, others []slog.Attr) {
	usual := make(map[string]string, len(defaults))
	for flag, text := range defaults {
		usual[logKey(flag)] = text
	}
	for _, flag := range c.derived {
		delete(usual, logKey(flag))
	}
	for _, a := range c.read {
		if text, known := usual[a.Key]; known && text != a.Value.String() {
			set = append(set, a)
		} else {
			others = append(others, a)
		}
	}
	return set, others
}

// wrong notes that a flag's text is not allowed.
func (c *checker) wrong(flag, text, allowed string) {
	is := "is missing"
	if text != "" {
		is = "is " + quote(text)
	}
	c.problem(flag, "%s %s: must be %s", c.name(flag), is, allowed)
}

// conflict notes that a flag's text does not fit another setting, or the files it names.
func (c *checker) conflict(flag, text, why string) {
	c.problem(flag, "%s is %s: %s", c.name(flag), quote(text), why)
}

// problem notes a problem with a flag, or with a secret.
func (c *checker) problem(name, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
	c.faulty = append(c.faulty, name)
}

// name returns a flag's name for errors.
func (c *checker) name(flag string) string {
	if slices.Contains(c.flagsOnly, flag) {
		return "--" + flag
	}
	return "--" + flag + " (" + envName(flag) + ")"
}

// quote shows a text from the command line or the environment. It leaves out the parts that may hold a secret: in an
// address everything before an @, everything behind a question mark, and all lines but the first, since a file's name may be its contents.
func quote(text string) string {
	text, _, several := strings.Cut(text, "\n")
	at, query := strings.LastIndexByte(text, '@'), strings.IndexByte(text, '?')
	if query >= 0 && query < len(text)-1 {
		text = text[:query] + "?…"
	}
	switch {
	case at >= 0 && query >= 0 && query < at: // a password may have either sign
		text = "…"
	case at >= 0:
		text = "…" + text[at:]
	}
	if several {
		text += "…"
	}
	const longest = 120
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return strconv.Quote(text)
}

// number reads a whole number from low to high. note, if not empty, explains an allowed value in the error.
func (c *checker) number(flag, text string, low, high int64, note string) int64 {
	c.note(flag, text)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low || n > high {
		c.wrong(flag, text, fmt.Sprintf("a whole number from %d to %d%s", low, high, note))
		return 0
	}
	return n
}

// duration reads a duration, from low to high.
func (c *checker) duration(flag, text string, low, high time.Duration) time.Duration {
	c.note(flag, text)
	d, err := parseDuration(text)
	if err != nil || d < low || d > high {
		c.wrong(flag, text, fmt.Sprintf("a duration from %s to %s, %s", short(low), short(high), durationForms))
		return 0
	}
	return d
}

// short writes a duration without the zeros at the end of its String.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// oneOf reads one of a few words. An empty text means the first of them.
func (c *checker) oneOf(flag, text string, allowed ...string) string {
	c.note(flag, text)
	if slices.Contains(allowed, text) {
		return text
	}
	words := slices.DeleteFunc(slices.Clone(allowed), func(w string) bool { return w == "" })
	c.wrong(flag, text, "one of "+strings.Join(words, ", "))
	return ""
}

// yesNo reads a switch.
func (c *checker) yesNo(flag string, text toggle) bool {
	c.note(flag, string(text))
	switch strings.ToLower(string(text)) {
	case "true", "1", "yes":
		return true
	case "false", "0", "no":
		return false
	}
	c.wrong(flag, string(text), "true or false")
	return false
}

// topic reads a topic's name, by the rules of Kafka's brokers.
func (c *checker) topic(flag, text string) string {
	c.note(flag, text)
	if !cluster.IsName(text) {
		c.wrong(flag, text, kafkaNameForms)
	}
	return text
}

// instanceID reads the name of a static member, by the rules of Kafka's own client. An empty text is none.
func (c *checker) instanceID(flag, text string) string {
	c.note(flag, text)
	if text != "" && !cluster.IsName(text) {
		c.wrong(flag, text, kafkaNameForms+", or empty for none")
	}
	return text
}

// kafkaNameForms are the names that Kafka allows.
const kafkaNameForms = "1 to 249 letters, digits, dots, underscores or hyphens"

// printable reads a non-empty text of printable ASCII without spaces, at most longest bytes.
func (c *checker) printable(flag, text string, longest int) string {
	c.note(flag, text)
	if text == "" || len(text) > longest || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		c.wrong(flag, text, fmt.Sprintf("1 to %d printable ASCII characters without spaces", longest))
	}
	return text
}

// addresses reads comma-separated host:port pairs.
func (c *checker) addresses(flag, text string) []string {
	c.note(flag, text)
	var list []string
	for address := range strings.SplitSeq(text, ",") {
		address = strings.TrimSpace(address)
		if host, ok := hostPort(address, 1); !ok || host == "" {
			c.wrong(flag, text, "comma-separated host:port, such as kafka-1:9092,kafka-2:9092")
			return nil
		}
		list = append(list, address)
	}
	return list
}

// hostNames reads comma-separated names of hosts, without ports. An empty text is none.
func (c *checker) hostNames(flag, text string) []string {
	c.note(flag, text)
	if text == "" {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		legal := func(r rune) bool { return r > ' ' && r != 0x7f && !strings.ContainsRune("/:@*?#[]\"'\\", r) }
		if name == "" || len(name) > 253 || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }) {
			c.wrong(flag, text, "comma-separated host names without scheme and port, such as convdel,convdel.jobs.svc")
			return nil
		}
		names = append(names, name)
	}
	return names
}

// listenAddress reads an address to listen on: host:port with an optional host.
func (c *checker) listenAddress(flag, text, orElse string) string {
	c.note(flag, text)
	if _, ok := hostPort(text, 0); !ok {
		c.wrong(flag, text, "host:port, such as 127.0.0.1:8080 or :8080"+orElse)
	}
	return text
}

// hostPort splits an address. Its port must be a number, lowest or higher.
func hostPort(address string, lowest int) (host string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || strings.ContainsAny(host, "/@ \t") {
		return "", false
	}
	n, err := strconv.Atoi(port)
	return host, err == nil && n >= lowest && n <= 65535
}

// endpoint reads the API's scheme and host.
func (c *checker) endpoint(flag, text string) *url.URL {
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
	if !ok {
		c.wrong(flag, text, "scheme and host alone, such as https://console.tim.qq.com (http is for a simulator)")
		return &url.URL{}
	}
	u.Path = ""
	c.note(flag, u.String())
	return u
}
