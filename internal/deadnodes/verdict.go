package deadnodes

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is that a node is dead, by the word of a majority of all announcers.
type Verdict struct {
	// By are the nodes whose announcers say so, sorted, of All that there are.
	By  []string
	All int
	// Since is when they became a majority.
	Since time.Time
	// Latest is from when on a majority has said so. A record that is older may be one that nobody can take back, as its announcer
	// does not run.
	Latest time.Time
}

// Verdicts are the nodes that a majority of all announcers takes for dead. Those whose own nodes are among them have no say, but
// count. records are those of all announcers, by the nodes that they run on: who records nothing takes part too, and takes nobody for
// dead. What is said by or of a name that is no Node, as exists says, is left out.
func Verdicts(records map[string]Record, exists func(node string) bool) map[string]Verdict {
	return judge(records, exists, judge(records, exists, nil))
}

func judge(records map[string]Record, exists func(node string) bool, silenced map[string]Verdict) map[string]Verdict {
	all := 0
	votes := map[string][]string{}
	for voter, record := range records {
		if !exists(voter) {
			continue
		}
		all++
		if _, dead := silenced[voter]; dead {
			continue
		}
		for name := range record {
			if exists(name) && name != voter {
				votes[name] = append(votes[name], voter)
			}
		}
	}
	verdicts := map[string]Verdict{}
	for name, by := range votes {
		if 2*len(by) <= all {
			continue
		}
		slices.SortFunc(by, func(a, b string) int { return records[a][name].Compare(records[b][name]) })
		majority := all/2 + 1
		since, latest := records[by[majority-1]][name], records[by[len(by)-majority]][name]
		slices.Sort(by)
		verdicts[name] = Verdict{by, all, since, latest}
	}
	return verdicts
}

// Tells says whether an event on a Node of this reason tells what became of its endpoints. Package withdrawal has the reasons.
func Tells(reason string) bool {
	return slices.Contains([]string{"EndpointsWithdrawn", "EndpointsRestored", "EndpointsNotWithdrawn"}, reason)
}

// Sentence says who takes a node for dead.
func (v Verdict) Sentence() string {
	return fmt.Sprintf("The node is silent for the announcers of %s, %d of %d.", names(v.By), len(v.By), v.All)
}

// names lists a few.
func names(all []string) string {
	const most = 5
	if len(all) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}
