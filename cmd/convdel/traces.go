package main

import "convdel/internal/tracing"

// traces reads OpenTelemetry's standard variables. It returns nil if they ask for no traces.
func (c *checker) traces(env func(string) (string, bool), insecure bool) *tracing.Settings {
	s, err := tracing.Read(env, insecure)
	if err != nil {
		c.problems = append(c.problems, err.Error())
		return nil
	}
	if s != nil {
		c.warnings = append(c.warnings, s.Warnings...)
	}
	return s
}
