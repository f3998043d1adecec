package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the document of settings anew")

const settingsDocument = "../../docs/settings.md"

// TestSettingsDocument: docs/settings.md says the same about each setting as the command line.
func TestSettingsDocument(t *testing.T) {
	t.Parallel()
	want := settingsText(t)
	if *update {
		if err := os.WriteFile(settingsDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(settingsDocument)
	if err != nil || string(got) != want {
		t.Errorf("docs/settings.md is not what the code says (%v): go test ./cmd/convdel -run SettingsDocument -update", err)
	}
}

// settingsText makes the document from the flags of run.
func settingsText(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# Settings

Every setting of ` + "`convdel run`" + ` is a flag (` + "`--im-endpoint`" + `) and an environment variable (` + "`CONVDEL_IM_ENDPOINT`" + `). The flag wins.
Other commands take some of these settings, with the same names and defaults. ` + "`convdel COMMAND -h`" + ` lists them.
All durations and times have the same forms: a duration is such as 500ms, 30s, 1d12h or 2w; a time is RFC 3339, a date (its beginning in UTC), or
how long ago.
A wrong value stops the start with exit status 2 and one line that names the setting, its value and the allowed values.
An environment variable that begins with ` + "`CONVDEL_`" + ` and is no setting of any command stops every command, likewise: the line names the nearest
setting. ` + "`convdel check`" + ` reports such mistakes and goes on. Letters of the other case and hyphens make no difference to that. What Kubernetes sets for Services called convdel or convdel-… is left
alone. An empty variable is an empty value, not the default.
`)
	for _, group := range flagGroups() {
		var rows strings.Builder
		for _, command := range model(t).Leaves(true) {
			if command.Name != "run" {
				continue
			}
			for _, f := range command.Flags {
				if f.Tag.Has(settingTag) && f.Group != nil && f.Group.Key == group.Key {
					rows.WriteString(settingRow(f))
				}
			}
		}
		if rows.Len() == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", group.Title)
		if group.Description != "" {
			fmt.Fprintf(&b, "%s\n\n", strings.ReplaceAll(group.Description, "$", ""))
		}
		b.WriteString("| setting | default | meaning |\n|---|---|---|\n" + rows.String())
	}
	return b.String()
}

func settingRow(f *kong.Flag) string {
	return fmt.Sprintf("| `%s` | %s | %s |\n", f.Name, f.Default, strings.ReplaceAll(f.Help, "|", `\|`))
}
