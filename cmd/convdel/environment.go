package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// knownVariables returns the environment variables of all settings of all commands, sorted. One environment serves all commands, so
// a command accepts the settings of the others.
func knownVariables(model *kong.Application) []string {
	var names []string
	for _, command := range model.Leaves(false) {
		for _, flags := range command.AllFlags(false) {
			for _, flag := range flags {
				if flag.Tag.Has(settingTag) {
					names = append(names, envName(flag.Name))
				}
			}
		}
	}
	for _, s := range []secretName{imSecretKey, kafkaPassword, redisURL} {
		names = append(names, string(s), s.file())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fromKubernetes matches the variables that Kubernetes sets in each pod of a namespace for a Service called convdel or
// convdel-something there. One that ends with _PORT has the Service's address as its value, which tells it from a misspelt
// setting.
var fromKubernetes = regexp.MustCompile(`^CONVDEL(_[A-Z0-9_]+)?_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)=` +
	`|^CONVDEL(_[A-Z0-9_]+)?_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=` +
	`|^CONVDEL_PORT=` +
	`|^CONVDEL_[A-Z0-9_]+_PORT=(tcp|udp|sctp)://`)

// unknownVariables returns an error with a line for each variable of the environment that looks like a setting and is none. The
// environment holds NAME=value. No line shows a value, since the variable may be a misspelt secret.
func unknownVariables(environment, known []string) *usageError {
	var lines []string
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		// The names of variables have letters of either case, and programs that set them allow more than shells do.
		as := strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(name))
		if !strings.HasPrefix(as, envPrefix) || slices.Contains(known, name) || fromKubernetes.MatchString(variable) {
			continue
		}
		hint := `see "convdel run -h"`
		if like := nearest(as, known); like != "" {
			hint = "did you mean " + like + "?"
		}
		lines = append(lines, fmt.Sprintf("%s is set: must be the variable of a setting, and no setting has this one: %s", visible(name), hint))
	}
	if lines == nil {
		return nil
	}
	slices.Sort(lines)
	return &usageError{lines: lines}
}

// nearest returns the known name that a misspelt one most likely stands for, or none if none is similar.
func nearest(name string, known []string) string {
	best, least := "", len(name)-len(envPrefix)
	for _, candidate := range known {
		d := 2 * editDistance(name, candidate)
		if strings.HasPrefix(candidate, name) { // cut short
			d = 1
		}
		if d < least {
			best, least = candidate, d
		}
	}
	return best
}

// editDistance is the least number of bytes that have to be inserted, removed, replaced, or swapped with the next one, to turn a
// into b.
func editDistance(a, b string) int {
	previous, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous, last, row = last, row, previous
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], previous[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
