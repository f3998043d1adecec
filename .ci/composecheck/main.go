// Command composecheck validates docker-compose.yml without a Docker engine, as far as that goes: the
// reference implementation of the Compose Specification loads it, with its JSON Schema, interpolation and
// consistency checks, and this program then asks what the specification does not: whether images are
// pinned, whether what is waited for can come, whether what is mounted is there, and whether convdel knows the flags and variables it is given.
//
// It is a module of its own, so that convdel's stays without what only this needs.
//
//	composecheck docker-compose.yml path/to/convdel
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: composecheck COMPOSE_FILE CONVDEL_BINARY")
		os.Exit(2)
	}
	project, err := load(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "composecheck:", err)
		os.Exit(1)
	}
	var problems []string
	for _, name := range project.ServiceNames() {
		service := project.Services[name]
		problems = append(problems, images(service)...)
		problems = append(problems, waits(project, service)...)
		problems = append(problems, mounts(service)...)
		if _, own := service.Environment["CONVDEL_IM_SDKAPPID"]; own {
			problems = append(problems, settings(service, os.Args[2])...)
		}
		problems = append(problems, secrets(service)...)
	}
	for _, secret := range project.Secrets {
		if _, err := os.Stat(secret.File); err != nil {
			problems = append(problems, fmt.Sprintf("secret %s: %v", secret.Name, err))
		}
	}
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, "composecheck:", problem)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
	fmt.Printf("%s is valid: services %s\n", filepath.Base(os.Args[1]), strings.Join(project.ServiceNames(), ", "))
}

// load reads the file, with the services of all profiles and with an empty environment, so that its defaults are what is checked.
func load(path string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory(filepath.Dir(path)), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

// images wants each one pinned by a tag that does not move, unless it is built here.
func images(service types.ServiceConfig) []string {
	if service.Build != nil {
		if _, err := os.Stat(filepath.Join(service.Build.Context, service.Build.Dockerfile)); err != nil {
			return []string{fmt.Sprintf("service %s: %v", service.Name, err)}
		}
		return nil
	}
	_, tag, found := strings.Cut(service.Image, ":")
	if !found || tag == "latest" {
		return []string{fmt.Sprintf("service %s: image %q is not pinned", service.Name, service.Image)}
	}
	return nil
}

// waits wants a health check behind each wait for health, and an end behind each wait for success.
func waits(project *types.Project, service types.ServiceConfig) []string {
	var problems []string
	for other, dependency := range service.DependsOn {
		target := project.Services[other]
		switch dependency.Condition {
		case types.ServiceConditionHealthy:
			if target.HealthCheck == nil || len(target.HealthCheck.Test) == 0 {
				problems = append(problems, fmt.Sprintf("service %s waits for the health of %s, which has no health check", service.Name, other))
			}
		case types.ServiceConditionCompletedSuccessfully:
			if target.Restart != "no" {
				problems = append(problems, fmt.Sprintf("service %s waits for the end of %s, which restarts", service.Name, other))
			}
		}
	}
	return problems
}

// mounts wants what is mounted from the host to be there: Docker makes an empty directory of it otherwise.
func mounts(service types.ServiceConfig) []string {
	var problems []string
	for _, volume := range service.Volumes {
		if volume.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(volume.Source); err != nil {
			problems = append(problems, fmt.Sprintf("service %s: %v", service.Name, err))
		}
	}
	return problems
}

// secrets wants only the service itself to have the app's key.
func secrets(service types.ServiceConfig) []string {
	isRun := len(service.Command) > 0 && service.Command[0] == "run"
	if len(service.Secrets) > 0 && !isRun {
		return []string{fmt.Sprintf("service %s: it has the secret %s and does not need it", service.Name, service.Secrets[0].Source)}
	}
	return nil
}

// settings wants every flag of the command and every variable to be in the help text of that very command.
func settings(service types.ServiceConfig, binary string) []string {
	if len(service.Command) == 0 {
		return []string{fmt.Sprintf("service %s: no command", service.Name)}
	}
	help, err := exec.Command(binary, service.Command[0], "-h").Output()
	if err != nil {
		return []string{fmt.Sprintf("service %s: convdel %s -h: %v", service.Name, service.Command[0], err)}
	}
	known := regexp.MustCompile(`\$CONVDEL_[A-Z_]+|--[a-z-]+`).FindAllString(string(help), -1)
	var problems []string
	for variable := range service.Environment {
		if strings.HasPrefix(variable, "CONVDEL_") && !slices.Contains(known, "$"+variable) {
			problems = append(problems, fmt.Sprintf("service %s: convdel %s has no setting %s", service.Name, service.Command[0], variable))
		}
	}
	for _, argument := range service.Command[1:] {
		flag, _, _ := strings.Cut(argument, "=")
		if strings.HasPrefix(flag, "--") && !slices.Contains(known, flag) {
			problems = append(problems, fmt.Sprintf("service %s: convdel %s has no flag %s", service.Name, service.Command[0], flag))
		}
	}
	slices.Sort(problems)
	return problems
}
