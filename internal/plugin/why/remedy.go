package why

import (
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// What helps is said by those who decide: loadbalancer.Error, plan.Reason, and the sentences of package
// provider/announced. Here is what they leave to whoever looks further.

// remedyOfAnnouncement is for an address that nobody announces, by the reason of the condition
// Announced; "" if its message says it.
func remedyOfAnnouncement(reason string) string {
	switch reason {
	case v1alpha1.ReasonNoSession, v1alpha1.ReasonNotSent:
		return "mend the sessions: see what each says; kubectl clarion bgp has all of them"
	case v1alpha1.ReasonPending:
		return "wait a moment; if it lasts, look at the announcer of the node: kubectl clarion why node/NODE"
	case v1alpha1.ReasonInternalError:
		return "report it: the log of the cloud-controller-manager has the stack"
	}
	return ""
}

// remedyOfNode is what to do about a node that does not announce an address; "" for nothing.
func remedyOfNode(reason plan.Reason, node string) string {
	if reason == plan.Draining {
		return "if it is to take part again: kubectl clarion undrain " + node + ", or remove the taint that drains it"
	}
	return reason.Remedy()
}

// remedyOfConfiguration is what to do about an object that is not in force as it is written, or does not
// do what it is for, by the reason of its condition. The message of the condition says more.
func remedyOfConfiguration(reason, object string) string {
	switch reason {
	case v1alpha1.ReasonOverlaps:
		return "remove the addresses from one of the two"
	case v1alpha1.ReasonDeleting:
		return "delete these Services, or have them ask for addresses of another pool"
	case v1alpha1.ReasonContradicts:
		return "have one BGPAdvertisement say what is to hold for these prefixes and BGPPeers"
	case v1alpha1.ReasonUnknownName:
		return "correct the name, or create what it names: kubectl edit " + object
	case v1alpha1.ReasonNoNodes:
		return "see that announcers run, and give nodes the labels that spec.nodeSelectors names: kubectl clarion announcers"
	case v1alpha1.ReasonNoSession, v1alpha1.ReasonSomeNodes, v1alpha1.ReasonFamilyNotCarried, v1alpha1.ReasonNoBFD:
		return "compare it with the configuration of the router: see docs/troubleshooting.md, No BGP session"
	case v1alpha1.ReasonInternalError:
		return "report it: the log of the cloud-controller-manager has the stack"
	}
	return "correct it: kubectl edit " + object
}
