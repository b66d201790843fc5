package layer2

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clarionlb/clarion/internal/guard"
)

func TestAPacketOnWhichAnsweringPanicsIsTheLastOneOfNobody(t *testing.T) {
	bubble(t, func(t *testing.T, lan *fakeLAN, r *Responder) {
		r.Set(map[netip.Addr][]string{vip1: {"eth0"}})
		time.Sleep(30 * time.Second)
		lan.take()
		heal := guard.Plant(func(kind string, object any) bool { return kind == "layer2" && object == "eth0" })
		defer heal()
		lan.ask("eth0", vip1)
		synctest.Wait()
		heal()
		lan.take()
		opened := lan.opened
		lan.ask("eth0", vip1)
		synctest.Wait()
		answers, _ := lan.take()
		same(t, "answers", lines(time.Now(), answers), []string{"0s eth0 answer 192.0.2.101"})
		if lan.opened != opened {
			t.Error("another socket was opened")
		}
	})
}
