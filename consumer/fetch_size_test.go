package consumer

import (
	"errors"
	"testing"

	"convdel/consumer/internal/recordlog"
)

// TestFetchSize: a fetch asks for more where it brought little and for less where it brought much, and takes the memory that
// was refused to the one before.
func TestFetchSize(t *testing.T) {
	t.Parallel()
	f := newFetchSize()
	if f.need() != fetchAim || f.hold() != 0 {
		t.Errorf("at first: need %d, hold %s", f.need(), f.hold())
	}
	f.brought(100)
	if f.need() != 0 || f.hold() != fetchWait || f.ask != 2*askLeast {
		t.Errorf("after a little: need %d, hold %s, ask %d", f.need(), f.hold(), f.ask)
	}
	if f.refused(errors.New("another error")) || f.refused(nil) {
		t.Error("an error of another kind is taken for want of room")
	}
	if !f.refused(&recordlog.NeedRoomError{Bytes: 9 << 20}) || f.need() != 9<<20 || f.hold() != 0 {
		t.Errorf("after a refusal: need %d, hold %s", f.need(), f.hold())
	}
	f.brought(8 << 20)
	if f.need() != 9<<20 || f.ask != askLeast {
		t.Errorf("while large ones come: need %d, ask %d", f.need(), f.ask)
	}
	f.brought(1 << 20)
	if f.need() != 1<<20+besideRoom {
		t.Errorf("when they have stopped: need %d", f.need())
	}
	f.refused(&recordlog.NeedRoomError{Bytes: 900 << 10})
	f.brought(8 << 10)
	if f.need() != 900<<10 {
		t.Errorf("with a codec that takes 900 KiB: need %d", f.need())
	}
	f.brought(100 << 20)
	if f.need() != fetchBudget/2 {
		t.Errorf("one partition alone may take %d of %d", f.need(), fetchBudget)
	}
}

// TestFetchSizeGrows: as long as a fetch asks for more than the one before, it has the memory for that.
func TestFetchSizeGrows(t *testing.T) {
	t.Parallel()
	f := newFetchSize()
	for range 10 {
		size := int64(f.ask) // all that was asked for
		f.brought(size)
		if answer := int64(f.ask); f.need() < answer+besideRoom {
			t.Errorf("%d bytes are asked for after %d have come, and there is room for %d", f.ask, size, f.need())
		}
	}
	if f.ask != fetchAim/2 {
		t.Errorf("%d bytes are asked for in the end", f.ask)
	}
}

// TestFaultCount: three fetches in a row must find the same fault.
func TestFaultCount(t *testing.T) {
	t.Parallel()
	var f faultCount
	for i, step := range []struct {
		first int64
		want  bool
	}{{7, false}, {7, false}, {8, false}, {8, false}, {8, true}, {7, false}, {7, false}, {7, true}, {0, false}} {
		if got := f.again(step.first); got != step.want {
			t.Errorf("step %d: %t, want %t", i, got, step.want)
		}
	}
}
