// Package why finds out why a Service, an address or a node is announced or not, and whether an object of
// configuration is in force: a chain of links, from whose Service it is to the packet. Each link holds, or says what breaks it and what to do. It has no
// rule of its own: a link says what package snapshot has from the code that decides, in its words. Only
// what to do about it is said here (remedy.go).
//
//	report := why.Service(state, name)   // or Address, or Node; Find takes what users write
//	report.WriteTo(out, style)           // or as JSON: the fields are stable
package why

import "strconv"

// Mark is how it stands with a link.
type Mark string

const (
	// OK : the link holds.
	OK Mark = "OK"
	// Failed : the link is broken, so that nothing answers, or an object is wrong.
	Failed Mark = "Failed"
	// Warning : the link holds, but not as well as it should.
	Warning Mark = "Warning"
	// Note : there is nothing to hold or to break; what is said helps to understand the rest.
	Note Mark = "Note"
)

// Item is one of several things that a link is about: a pool, a node, a session.
type Item struct {
	Name     string `json:"name"`
	Mark     Mark   `json:"mark"`
	Sentence string `json:"sentence"`
	// Remedy is what to do about it; "" if there is nothing to do.
	Remedy string `json:"remedy,omitempty"`
}

// Link is one link of a chain.
type Link struct {
	// Name is one or two words: "class", "pool".
	Name string `json:"name"`
	// Address is the one that the link is about; "" if it is about all.
	Address string `json:"address,omitempty"`
	Mark    Mark   `json:"mark"`
	// Reason is the one word of who decides, as in conditions: "PoolExhausted"; "" if there is none.
	Reason   string `json:"reason,omitempty"`
	Sentence string `json:"sentence"`
	// Remedy is what to do if the link does not hold; "" if there is nothing to do.
	Remedy string `json:"remedy,omitempty"`
	Items  []Item `json:"items,omitempty"`
}

// Report is a chain.
type Report struct {
	// Kind is "Service", "Address", "Node", or that of an object of configuration: "BGPPeer".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Summary is the sentence of what matters most: the first link that is broken, or that all is well.
	Summary string `json:"summary"`
	// OK says that no link is broken.
	OK    bool   `json:"ok"`
	Links []Link `json:"links"`
}

func (r *Report) add(links ...Link) { r.Links = append(r.Links, links...) }

// conclude fills in the summary. well is what it is if no link is broken.
func (r *Report) conclude(well string) {
	r.Summary, r.OK = well, true
	for _, l := range r.Links {
		if l.Mark == Failed {
			r.Summary, r.OK = l.Sentence, false
			return
		}
	}
}

// counted is a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
