package announced

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/lastgood"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// recorded is the status.appliedSpec that an object is to have: what is there already if no good
// version is known, which another version of the program may have found good.
func recorded[S any](state plan.State[S], before *S) *S {
	if state.LastGood == nil {
		return before
	}
	return state.LastGood
}

// problemOf says what is wrong with an object and what is in force meanwhile. nothing is what follows
// if nothing of it is.
func problemOf[S any](state plan.State[S], nothing string) string {
	consequence := lastgood.Sentence
	if state.LastGood == nil {
		consequence = "what can be used of it is in use"
		if !state.Used {
			consequence = nothing
		}
	}
	return state.Problem.Error() + "; " + consequence
}

// l2AdvertisementCondition is the condition that an L2Advertisement is to have.
func (e *evaluator) l2AdvertisementCondition(name string) metav1.Condition {
	state := e.view.L2Advertisement(name)
	message := sentence("The L2Advertisement is in use.", e.view.L2Remarks(name))
	if state.Problem != nil {
		message = problemOf(state, "the L2Advertisement selects nothing")
	}
	return status.ReadyCondition(state.Reason(), message, e.l2Advertisements[name].Generation)
}

// advertisementCondition is the condition that a BGPAdvertisement is to have. contradictions are
// those of all.
func (e *evaluator) advertisementCondition(name string, contradictions map[string][]plan.Contradiction) metav1.Condition {
	state := e.view.BGPAdvertisement(name)
	reason, message := state.Reason(), sentence("The BGPAdvertisement is in use.", e.view.BGPRemarks(name))
	var contradicted []string
	for _, c := range contradictions[name] {
		contradicted = append(contradicted, c.Sentence())
	}
	switch {
	case state.Problem != nil:
		message = strings.Join(append([]string{problemOf(state, "the BGPAdvertisement selects nothing")}, contradicted...), "; ")
	case len(contradicted) > 0:
		reason, message = v1alpha1.ReasonContradicts, strings.Join(contradicted, "; ")
	}
	return status.ReadyCondition(reason, message, e.advertisements[name].Generation)
}

// communityCondition is the condition that a Community is to have.
func (e *evaluator) communityCondition(name string) metav1.Condition {
	state, message := e.view.Community(name), "BGPAdvertisements can use the names."
	if state.Problem != nil {
		message = problemOf(state, "")
	}
	return status.ReadyCondition(state.Reason(), message, e.communities[name].Generation)
}

// profileCondition is the condition that a BFDProfile is to have.
func (e *evaluator) profileCondition(name string) metav1.Condition {
	state, message := e.view.BFDProfile(name), "BGPPeers can use the BFDProfile."
	switch {
	case state.Problem == nil:
	case state.LastGood == nil:
		message = state.Problem.Error() + ": the BFDProfile is not used, and sessions that name it go on without BFD"
	default:
		message = problemOf(state, "")
	}
	return status.ReadyCondition(state.Reason(), message, e.profiles[name].Generation)
}

// sentence has remarks follow a sentence.
func sentence(first string, remarks []string) string {
	return strings.Join(append([]string{first}, remarks...), " ")
}
