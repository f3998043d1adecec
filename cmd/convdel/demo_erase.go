package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"convdel/schema"
)

const (
	// demoOutcomes is the demo's outcome topic.
	demoOutcomes = "conversation.delete.ended"
	// demoErased is an account of the simulator with more conversations than its lists show at once.
	demoErased = "has-120-alice"
)

// env is the environment of the demo's commands.
func (*demo) env(name string) (string, bool) {
	if name == string(imSecretKey) {
		return demoSecretKey, true
	}
	return "", false
}

// erase erases an account of the simulator, as `convdel erase` does: the plan, then the erasure with its report.
func (d *demo) erase(ctx context.Context, run string) error {
	d.printf("\nAn account is erased: convdel erase %s --request-id demo-%s\n", demoErased, run)
	for _, more := range [][]string{nil, {"--yes"}} {
		var cmds commands
		con := &console{stdout: d.con.stdout, stderr: io.Discard, env: d.env}
		parser, err := newParser(&cmds, con, func(int) {})
		if err != nil {
			return err
		}
		if _, err = parser.Parse(append([]string{
			"erase", demoErased, "--request-id=demo-" + run, "--rate=200", "--brokers=" + d.broker.address, "--group=" + demoGroup,
			"--outcome-topic=" + demoOutcomes, "--im-endpoint=" + d.sim.URL, "--im-sdkappid=" + strconv.Itoa(demoApp), "--im-identifier=" + demoIdentifier,
		}, more...)); err != nil {
			return err
		}
		if err := cmds.Erase.Run(ctx, con); err != nil {
			return fmt.Errorf("the erasure: %w", err)
		}
		d.printf("\n")
	}
	if left := d.sim.Conversations(demoErased); len(left) > 0 {
		return errors.New("the erasure is verified, and the simulator still has " + countOf(len(left), "conversation", "conversations"))
	}
	return nil
}

// ofErasure says whether an event is a part of the demo's own erasure.
func ofErasure(e *schema.Event, err error) bool {
	return err == nil && e.ErasureID != "" && e.From == demoErased
}
