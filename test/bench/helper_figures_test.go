package bench

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// figures collects what the runs of a benchmark measured, by unit.
type figures map[string][]float64

func (f figures) add(unit string, value float64) { f[unit] = append(f[unit], value) }

func (f figures) addDuration(unit string, d time.Duration) {
	f.add(unit, float64(d.Microseconds())/1000)
}

// report reports the median of every figure, and of those named the extremes too.
func (f figures) report(b *testing.B, extremes ...string) {
	b.ReportMetric(0, "ns/op") // of no interest: it includes the preparations
	for unit, values := range f {
		slices.Sort(values)
		b.ReportMetric(median(values), unit)
		if slices.Contains(extremes, unit) {
			b.ReportMetric(values[0], unit+"-min")
			b.ReportMetric(values[len(values)-1], unit+"-max")
		}
		b.Logf("%s of each run: %.4g", unit, values)
	}
}

// median returns the middle of sorted values, 0 if there are none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return (values[len(values)/2] + values[(len(values)-1)/2]) / 2
}

// cpuTime returns the processor time that a process has used (proc(5)).
func cpuTime(b *testing.B, p *network.Process) time.Duration {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		b.Fatal(err)
	}
	// The second field is the name, in parentheses, and may contain anything. The third is the
	// first after it.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	const third, user, system = 3, 14, 15
	const tick = time.Second / 100 // for every architecture that Go knows (USER_HZ)
	var ticks int64
	for _, field := range []int{user, system} {
		n, err := strconv.ParseInt(fields[field-third], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick
}

// residentMiB returns the memory that a process holds.
func residentMiB(b *testing.B, p *network.Process) float64 {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID))
	if err != nil {
		b.Fatal(err)
	}
	const resident = 1
	pages, err := strconv.ParseInt(strings.Fields(string(content))[resident], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}
