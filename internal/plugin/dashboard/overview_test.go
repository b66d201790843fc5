package dashboard

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/loadbalancer"
)

func TestAnEmptyClusterHasListsAndNoNull(t *testing.T) {
	text, err := json.Marshal(overviewOf("empty", snapshot.Of().State()))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"cluster":"empty","problems":[{"state":"trouble","kind":"Program","on":"clarion-cloud-controller-manager","words":"the cloud-controller-manager has never run: nobody hands out addresses"}],"pools":[],"nodes":[],"peers":[],"services":[],"moves":[]}`; string(text) != want {
		t.Errorf("%s", text)
	}
}

func TestAnAdvertisementThatIsNotInForceIsAProblem(t *testing.T) {
	bad := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	bad.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Message: "there is no IPAddressPool publik"}}
	problems := overviewOf("test", snapshot.Of(bad).State()).Problems
	if !slices.Contains(problems, problem{warning, "L2Advertisement", "all", "there is no IPAddressPool publik"}) {
		t.Errorf("the page shows %+v", problems)
	}
}

func TestTheSameStateIsTheSameText(t *testing.T) {
	state := snapshot.Of(fixture.New(time.Now())...).State()
	first, _ := json.Marshal(overviewOf("c", state))
	again, _ := json.Marshal(overviewOf("c", state.Snapshot.Clone().State()))
	if string(first) != string(again) {
		t.Error("pages would be told of changes that are none")
	}
}

func TestAReasonIsReadAsWords(t *testing.T) {
	for reason, want := range map[string]string{"NoInterface": "no interface", "Draining": "draining", "": ""} {
		if got := split(reason); got != want {
			t.Errorf("%q", got)
		}
	}
}

func parsed(t *testing.T, text string) loadbalancer.Range {
	t.Helper()
	r, err := loadbalancer.ParseRange(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func chartWith(addresses ...string) *chart {
	c := &chart{cells: map[netip.Addr]*cell{}, skips: func(netip.Addr) bool { return false }}
	for _, text := range addresses {
		ip := netip.MustParseAddr(text)
		c.cells[ip] = &cell{IP: text, State: assigned}
		c.sorted = append(c.sorted, ip)
	}
	slices.SortFunc(c.sorted, netip.Addr.Compare)
	return c
}

func TestASmallRangeIsDrawnInRowsThatBeginWithSixteens(t *testing.T) {
	rows := chartWith("192.168.1.250").rows(parsed(t, "192.168.1.250-192.168.2.17"))
	if len(rows) != 3 || rows[0].Label != ".240" || rows[0].Cells[9] != nil || rows[0].Cells[10].State != assigned || rows[1].Label != ".0" || rows[2].Cells[1] == nil || rows[2].Cells[2] != nil {
		t.Errorf("%+v", rows)
	}
	if rows := chartWith().rows(parsed(t, "2001:db8::ff0-2001:db8::1001")); len(rows) != 2 || rows[0].Label != ":ff0" || rows[1].Label != ":1000" {
		t.Errorf("%+v", rows)
	}
}

func TestALargeRangeIsDrawnInBlocksWithGaps(t *testing.T) {
	c := chartWith("2001:db8::1", "2001:db8::2", "2001:db8::1:5")
	c.kept = []keptRange{{parsed(t, "2001:db8::1-2001:db8::f"), reserved, ""}}
	blocks := c.blocks(parsed(t, "2001:db8::/64"))
	var names []string
	for _, b := range blocks {
		names = append(names, b.Name)
	}
	if want := []string{"2001:db8::/120", "2001:db8::100 – 2001:db8::ffff", "2001:db8::1:0/120", "2001:db8::1:100 – 2001:db8::ffff:ffff:ffff:ffff"}; !slices.Equal(names, want) {
		t.Fatalf("%q", names)
	}
	if b := blocks[0]; b.Assigned != 2 || b.Reserved != 13 || b.Free != 241 || b.Total != 256 {
		t.Errorf("%+v", b)
	}
	if blocks := chartWith().blocks(parsed(t, "10.0.0.0/8")); len(blocks) != 1 || blocks[0].Name != "10.0.0.0/8" || blocks[0].Free != 1<<24 {
		t.Errorf("%+v", blocks)
	}
}

func TestBlocksAreAsLargeAsThatTheyAreNotTooMany(t *testing.T) {
	var addresses []string
	for i := range 200 {
		addresses = append(addresses, netip.AddrFrom4([4]byte{10, byte(i), 1, 1}).String())
	}
	blocks := chartWith(addresses...).blocks(parsed(t, "10.0.0.0/8"))
	sum := 0.0
	for _, b := range blocks {
		sum += b.Assigned
	}
	if len(blocks) > 2*maxBlocks+1 || sum != 200 {
		t.Errorf("%d blocks with %v addresses", len(blocks), sum)
	}
}

func TestMovesOfOneNodeAreOne(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	from := func(node string, seconds int) move {
		return move{From: node, To: "n2", On: "a", time: at.Add(-time.Duration(seconds) * time.Second)}
	}
	moves := grouped([]move{from("n1", 0), from("n1", 1), from("n1", 1), from("n1", 3), from("n1", 60), from("n3", 60), from("", 60)})
	if len(moves) != 4 || len(moves[0].Parts) != 4 || moves[0].On != "4 addresses" || moves[0].To != "n2" {
		t.Errorf("%+v", moves)
	}
}

func TestWhatIsDrawnOfAllPoolsIsBounded(t *testing.T) {
	rest, rows := float64(maxDrawn), 0
	for i := range 50 {
		pool := parsed(t, netip.AddrFrom4([4]byte{10, byte(i), 0, 0}).String()+"/23")
		c := chartWith(pool.From.Next().String())
		for _, d := range c.draw([]loadbalancer.Range{pool}, nil, &rest) {
			rows += len(d.Rows)
			if len(d.Rows) == 0 && (len(d.Blocks) == 0 || d.Blocks[0].Assigned != 1) {
				t.Errorf("of %s nothing is drawn: %+v", d.Range, d)
			}
		}
	}
	if rows != maxDrawn/rowLength {
		t.Errorf("%d rows are drawn", rows)
	}
}
