package chaos

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// sizes are those of the processes of the product, by their process IDs, when they were first seen at the end of a round.
type sizes map[int]size

type size struct{ descriptors, threads int }

// grown returns which processes have grown since they were first seen.
func (r *run) grown() []finding {
	var wrong []finding
	for _, node := range r.Nodes() {
		for _, name := range []string{announcerProcess, ccmProcess} {
			processes, err := node.Processes(name)
			must(r.t, err)
			for _, p := range processes {
				now, err := sizeOf(p)
				if err != nil {
					continue // it has ended
				}
				first, known := r.sizes[p.PID]
				if !known {
					r.sizes[p.PID] = now
				} else if now.descriptors > first.descriptors+growth || now.threads > first.threads+growth {
					wrong = append(wrong, finding{time.Now(), fmt.Sprintf("%s on %s has grown from %+v to %+v", name, node.Name, first, now)})
				}
			}
		}
	}
	return wrong
}

func sizeOf(p *network.Process) (size, error) {
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
	if err != nil {
		return size{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return size{}, err
	}
	s := size{descriptors: len(descriptors)}
	for line := range strings.Lines(string(status)) {
		if count, is := strings.CutPrefix(line, "Threads:"); is {
			s.threads, err = strconv.Atoi(strings.TrimSpace(count))
		}
	}
	return s, err
}
