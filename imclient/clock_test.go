package imclient_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestClockSkew: the difference between the clocks is that of the middle of the call, however long that takes, to half a second. Answers
// that are not the API's say nothing of its clock.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, client := bubbleSim(t, simConfig(), nil)
		if skew, known := client.ClockSkew(); known {
			t.Fatalf("%s before the first call", skew)
		}
		for _, ahead := range []time.Duration{0, -90 * time.Second, 20 * time.Minute, 0} {
			sim.SetClockSkew(ahead)
			for _, account := range []string{"a", "code-50004", "slow-3000"} {
				time.Sleep(170 * time.Millisecond)
				r := request
				r.From = account
				_ = client.DeleteConversation(t.Context(), r)
				skew, known := client.ClockSkew()
				// imtest takes the date at the end of a slow call.
				wrong := skew + ahead
				if account == "slow-3000" {
					wrong += 1500 * time.Millisecond
				}
				if !known || wrong.Abs() > 510*time.Millisecond {
					t.Errorf("the server is %s ahead, %s: %s (%v)", ahead, account, skew, known)
				}
			}
		}
		before, _ := client.ClockSkew()
		sim.SetClockSkew(time.Hour)
		for _, account := range []string{"http-502", "garbage"} {
			r := request
			r.From = account
			_ = client.DeleteConversation(t.Context(), r)
		}
		if skew, _ := client.ClockSkew(); skew != before {
			t.Errorf("another answer's date counts: %s", skew)
		}
	})
}

// TestSignatureExpires: the time is that of the signature at hand.
func TestSignatureExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, client := bubbleSim(t, simConfig(), nil)
		if at := client.SignatureExpires(); !at.IsZero() {
			t.Errorf("%s before the first call", at)
		}
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(client.SignatureExpires()); left != 24*time.Hour {
			t.Errorf("it expires in %s", left)
		}
		time.Sleep(20 * time.Hour)
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(client.SignatureExpires()); left != 24*time.Hour {
			t.Errorf("after its renewal it expires in %s", left)
		}
	})
}
