package why

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// configured is a kind of configuration.
type configured struct {
	kind string
	// names are what kubectl takes for the kind, in lower case; the first is the plural.
	names []string
	// find has the object, with its spec as it is written, or false.
	find func(s *snapshot.State, name string) (spec any, found bool)
	// conditions are those that the object is to have.
	conditions func(s *snapshot.State, name string) []metav1.Condition
	// earlier is the spec that is in force in place of that as it is written; nil if there is none.
	earlier func(s *snapshot.State, name string, spec any) any
	// users say who uses the object; nil if its conditions say all.
	users func(s *snapshot.State, name string) []Link
}

// configuration are the kinds that users write.
var configuration = []configured{
	{
		kind: "IPAddressPool", names: []string{"ipaddresspools", "ipaddresspool", "ipap", "pool"},
		find: func(s *snapshot.State, name string) (any, bool) {
			o := snapshot.Find(s.IPAddressPools, "", name)
			return specOf(o, func(o *v1alpha1.IPAddressPool) any { return &o.Spec }), o != nil
		},
		conditions: func(s *snapshot.State, name string) []metav1.Condition {
			p := s.Pools[name]
			return []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: statusOf(p.Ready), Reason: p.Reason, Message: p.Message}}
		},
		earlier: func(s *snapshot.State, name string, spec any) any { return other(s.Pools[name].AppliedSpec, spec) },
		users:   poolLinks,
	},
	{
		kind: "IPAddressReservation", names: []string{"ipaddressreservations", "ipaddressreservation", "ipar"},
		find: func(s *snapshot.State, name string) (any, bool) {
			o := snapshot.Find(s.IPAddressReservations, "", name)
			return specOf(o, func(o *v1alpha1.IPAddressReservation) any { return &o.Spec }), o != nil
		},
		conditions: func(s *snapshot.State, name string) []metav1.Condition {
			return []metav1.Condition{s.Reservations[name]}
		},
		earlier: func(s *snapshot.State, name string, spec any) any {
			return other(snapshot.Find(s.IPAddressReservations, "", name).Status.AppliedSpec, spec)
		},
	},
	{
		kind: "L2Advertisement", names: []string{"l2advertisements", "l2advertisement", "l2adv"},
		find: func(s *snapshot.State, name string) (any, bool) {
			o := snapshot.Find(s.L2Advertisements, "", name)
			return specOf(o, func(o *v1alpha1.L2Advertisement) any { return &o.Spec }), o != nil
		},
		conditions: func(s *snapshot.State, name string) []metav1.Condition {
			return []metav1.Condition{s.Announced.L2Advertisement(name)}
		},
		earlier: earlier("L2Advertisement"),
		users:   advertisedLinks("L2Advertisement"),
	},
	{
		kind: "BGPAdvertisement", names: []string{"bgpadvertisements", "bgpadvertisement", "bgpadv"},
		find: func(s *snapshot.State, name string) (any, bool) {
			o := snapshot.Find(s.BGPAdvertisements, "", name)
			return specOf(o, func(o *v1alpha1.BGPAdvertisement) any { return &o.Spec }), o != nil
		},
		conditions: func(s *snapshot.State, name string) []metav1.Condition {
			return []metav1.Condition{s.Announced.BGPAdvertisement(name)}
		},
		earlier: earlier("BGPAdvertisement"),
		users:   advertisedLinks("BGPAdvertisement"),
	},
	{
		kind: "BGPPeer", names: []string{"bgppeers", "bgppeer", "bgpp", "peer"},
		find: func(s *snapshot.State, name string) (any, bool) {
			o := snapshot.Find(s.BGPPeers, "", name)
			return specOf(o, func(o *v1alpha1.BGPPeer) any { return &o.Spec }), o != nil
		},
		conditions: func(s *snapshot.State, name string) []metav1.Condition { return s.Announced.BGPPeer(name).Conditions },
		earlier:    earlier("BGPPeer"),
		users:      peerLinks,
	},
	{
		kind: "Community", names: []string{"communities", "community", "comm"},
		find: func(s *snapshot.State, name string) (any, bool) {
			o := snapshot.Find(s.Communities, "", name)
			return specOf(o, func(o *v1alpha1.Community) any { return &o.Spec }), o != nil
		},
		conditions: func(s *snapshot.State, name string) []metav1.Condition {
			return []metav1.Condition{s.Announced.Community(name)}
		},
		earlier: earlier("Community"),
	},
	{
		kind: "BFDProfile", names: []string{"bfdprofiles", "bfdprofile", "bfd"},
		find: func(s *snapshot.State, name string) (any, bool) {
			o := snapshot.Find(s.BFDProfiles, "", name)
			return specOf(o, func(o *v1alpha1.BFDProfile) any { return &o.Spec }), o != nil
		},
		conditions: func(s *snapshot.State, name string) []metav1.Condition {
			return []metav1.Condition{s.Announced.BFDProfile(name)}
		},
		earlier: earlier("BFDProfile"),
	},
}

func specOf[T any](o *T, spec func(*T) any) any {
	if o == nil {
		return nil
	}
	return spec(o)
}

func statusOf(good bool) metav1.ConditionStatus {
	if good {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// other is the spec that is in force if it is not the one as it is written; nil if it is.
func other[S any](inForce *S, spec any) any {
	if inForce == nil || apiequality.Semantic.DeepEqual(any(inForce), spec) {
		return nil
	}
	return inForce
}

func earlier(kind string) func(*snapshot.State, string, any) any {
	return func(s *snapshot.State, name string, spec any) any {
		if before := s.Announced.Earlier(kind, name); before != nil && !apiequality.Semantic.DeepEqual(before, spec) {
			return before
		}
		return nil
	}
}

// configuredAs is the kind of configuration that kubectl takes a word for; nil if it takes it for none.
func configuredAs(word string) *configured {
	word, _, _ = strings.Cut(strings.ToLower(word), ".")
	for i := range configuration {
		if slices.Contains(configuration[i].names, word) {
			return &configuration[i]
		}
	}
	return nil
}

// report says of an object of the kind whether it is in force as it is written, and who uses it. It has
// to exist.
func (k *configured) report(s *snapshot.State, name string) *Report {
	r := &Report{Kind: k.kind, Name: name}
	spec, _ := k.find(s, name)
	well := ""
	for _, c := range k.conditions(s, name) {
		l := k.conditionLink(name, c)
		if c.Type == v1alpha1.ConditionReady {
			well = c.Message
		}
		r.add(l)
		if before := k.earlier(s, name, spec); before != nil && c.Type == v1alpha1.ConditionReady {
			r.add(Link{Name: "in force", Mark: Warning, Sentence: "an earlier version: " + text(before), Remedy: "correct the " + k.kind + ", or write back what is in force"})
		}
	}
	if k.users != nil {
		r.add(k.users(s, name)...)
	}
	r.conclude(well)
	return r
}

// conditionLink is a condition, with its name and status as `kubectl wait` takes them.
func (k *configured) conditionLink(name string, c metav1.Condition) Link {
	l := Link{Name: c.Type + "=" + string(c.Status), Mark: OK, Reason: c.Reason, Sentence: c.Message}
	if c.Status == metav1.ConditionTrue {
		return l
	}
	l.Mark, l.Remedy = Failed, remedyOfConfiguration(c.Reason, strings.ToLower(k.kind)+" "+name)
	if c.Type != v1alpha1.ConditionReady {
		l.Mark = Warning // Ready says whether it matters
	}
	return l
}

// text is a spec in one line.
func text(spec any) string {
	content, err := json.Marshal(spec)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// poolLinks say which Services have addresses of a pool, and which advertisements select them.
func poolLinks(s *snapshot.State, name string) []Link {
	l := Link{Name: "used by", Mark: Note}
	for _, u := range s.Uses {
		if u.Pool != name {
			continue
		}
		for _, service := range u.Services {
			l.Items = append(l.Items, Item{Name: service.String(), Mark: OK, Sentence: "has " + u.Address.String()})
		}
	}
	l.Sentence = counted(len(l.Items), "Service")
	return []Link{l}
}

// advertisedLinks say which addresses an advertisement of the kind selects, and how these are announced.
func advertisedLinks(kind string) func(*snapshot.State, string) []Link {
	return func(s *snapshot.State, name string) []Link {
		l := Link{Name: "selects", Mark: Note}
		for _, service := range s.Services {
			for _, ip := range addressesOf(service) {
				a := s.Announced.Address(s.Time, ip)
				verdicts := a.L2Advertisements
				if kind == "BGPAdvertisement" {
					verdicts = a.BGPAdvertisements
				}
				for _, v := range verdicts {
					if v.Name == name && v.Reason == "" {
						l.Items = append(l.Items, Item{Name: snapshot.NameOf(service).String(), Mark: markOf(a.Announced()), Sentence: a.Sentence})
					}
				}
			}
		}
		l.Sentence = "addresses of Services: " + strconv.Itoa(len(l.Items))
		return []Link{l}
	}
}

func markOf(good bool) Mark {
	if good {
		return OK
	}
	return Warning
}

// peerLinks say how the session of each node with a BGPPeer is.
func peerLinks(s *snapshot.State, name string) []Link {
	l := Link{Name: "sessions", Mark: OK}
	for _, announcer := range s.Announcers {
		session := sessionOf(s, announcer.Name, name)
		if session == nil {
			continue
		}
		i := sessionStandingItem(s, announcer.Name, announcer.Name, session)
		if i.Mark == Warning {
			l.Mark = Warning
		}
		l.Items = append(l.Items, i)
	}
	l.Sentence = s.Announced.BGPPeer(name).Sessions + " are established"
	if len(l.Items) == 0 {
		l.Mark, l.Sentence = Note, "no node has tried to have one"
	}
	return []Link{l}
}
