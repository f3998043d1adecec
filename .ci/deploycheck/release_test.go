package deploycheck

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

// TestRelease: goreleaser reads its file, whose parts are those that a release needs, and whose files are there. The reader is of goreleaser
// 2.15: newer versions have a dependency that `go mod tidy` can't get from every module proxy.
func TestRelease(t *testing.T) {
	file, err := os.Open(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	project, err := config.LoadReader(file) // it refuses names that it does not know
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Builds) != 1 || len(project.Archives) != 1 || len(project.Kos) != 1 || len(project.SBOMs) != 1 || project.Checksum.NameTemplate == "" {
		t.Fatalf("builds, archives, image, SBOM or checksums are missing: %+v", project)
	}
	build, image := project.Builds[0], project.Kos[0]
	if !slices.Contains(build.Env, "CGO_ENABLED=0") || !slices.Contains(build.Flags, "-trimpath") || !slices.Contains(build.Flags, "-buildvcs=true") {
		t.Errorf("the binary is not static, not the same everywhere, or has no version: %v %v", build.Env, build.Flags)
	}
	if image.Build != build.ID || image.User != "65532:65532" || image.SBOM == "none" {
		t.Errorf("the image is of build %q, user %q, SBOM %q", image.Build, image.User, image.SBOM)
	}
	for _, added := range project.Archives[0].Files {
		pattern := strings.TrimSuffix(added.Source, "*")
		if found, err := filepath.Glob(filepath.Join(root, pattern+"*")); err != nil || len(found) == 0 {
			t.Errorf("there is no %s (%v)", added.Source, err)
		}
	}
}

// TestChangelogForm: CHANGELOG.md has the form of Keep a Changelog 1.1.0, from which `make release` takes its notes.
func TestChangelogForm(t *testing.T) {
	versions := 0
	for i, line := range strings.Split(read(t, "CHANGELOG.md"), "\n") {
		switch {
		case strings.HasPrefix(line, "## "):
			if !regexp.MustCompile(`^## \[(\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d|Unreleased\])$`).MatchString(line) {
				t.Errorf("line %d: %s", i+1, line)
			}
			if (line == "## [Unreleased]") != (versions == 0) {
				t.Errorf("line %d: [Unreleased] is the first part, and no other", i+1)
			}
			versions++
		case strings.HasPrefix(line, "### "):
			if !slices.Contains([]string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, line[4:]) {
				t.Errorf("line %d: %s", i+1, line)
			}
		}
	}
	if versions == 0 {
		t.Error("no version")
	}
}
