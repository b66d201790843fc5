package provider

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// setBFDProfile takes a BFDProfile as it is now; nil if it is gone. Nothing that is announced depends on it.
func (o *observer) setBFDProfile(name string, object *v1alpha1.BFDProfile) {
	delete(o.profiles, name)
	if err := o.view.SetBFDProfile(name, object); object != nil {
		o.profiles[name] = bgpObject[*v1alpha1.BFDProfile]{object, err}
	}
}

// profileCondition is the condition that a BFDProfile is to have.
func (o *observer) profileCondition(name string) metav1.Condition {
	p := o.profiles[name]
	reason, message := v1alpha1.ReasonValid, "BGPPeers can use the BFDProfile."
	if p.err != nil {
		reason, message = v1alpha1.ReasonUnsupported, p.err.Error()+": the BFDProfile is not used, and sessions that name it go on without BFD"
	}
	return readyCondition(reason, message, p.object.Generation)
}

// writeProfiles writes the status of every BFDProfile where it is not what it should be, and reports whether all that could be
// written was.
func (k *announcedKeeper) writeProfiles(ctx context.Context) bool {
	done := true
	for _, name := range slices.Sorted(maps.Keys(k.observer.profiles)) {
		object := k.observer.profiles[name].object
		updated := object.DeepCopy()
		if !meta.SetStatusCondition(&updated.Status.Conditions, k.observer.profileCondition(name)) {
			continue
		}
		_, err := k.clarion.ClarionV1alpha1().BFDProfiles().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		done = written(ctx, err, object) && done
	}
	return done
}

// watching is from which nodes the path to a router is watched by BFD.
type watching struct {
	// up is how many nodes have a session with the router and BFD up.
	up int32
	// problems are what nodes that have a session say is wrong with BFD.
	problems map[string][]string
}

// paths finds out from which nodes the paths to a router are watched.
func (o *observer) paths(peer string) watching {
	w := watching{problems: map[string][]string{}}
	for _, node := range o.alive {
		established, up := 0, 0
		for _, session := range o.announcers[node].Status.BGP.Peers {
			if session.Name != peer || session.State != v1alpha1.BGPEstablished {
				continue
			}
			established++
			if session.BFD == nil {
				continue
			}
			if session.BFD.State == v1alpha1.BFDUp {
				up++
			}
			if problem := session.BFD.LastError; problem != "" {
				w.problems[problem] = append(w.problems[problem], node)
			}
		}
		if established > 0 && up == established {
			w.up++
		}
	}
	return w
}
