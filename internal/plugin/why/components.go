package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

const logsOfController = "kubectl -n " + snapshot.ControllerNamespace + " logs deployment/" + snapshot.ControllerName

// Controller says whether the cloud-controller-manager runs, which hands out addresses.
func Controller(s *snapshot.State) Link {
	l := Link{Name: "controller", Mark: OK}
	for _, unread := range s.Unread {
		if unread.Kind == "leases.coordination.k8s.io" {
			l.Mark, l.Sentence = Note, "whether the cloud-controller-manager runs is not known: "+unread.Why
			return l
		}
	}
	l.Items = pods(s, snapshot.ControllerName)
	var holder string
	var until time.Time
	lease := s.ControllerLease()
	if lease != nil && lease.Spec.HolderIdentity != nil && lease.Spec.RenewTime != nil {
		holder = *lease.Spec.HolderIdentity
		until = lease.Spec.RenewTime.Add(time.Duration(cmp.Or(deref(lease.Spec.LeaseDurationSeconds), 15)) * time.Second)
	}
	switch {
	case lease == nil && len(l.Items) == 0:
		l.Mark, l.Sentence = Failed, "the cloud-controller-manager has never run: nobody hands out addresses"
		l.Remedy = "install it: kubectl apply -k manifests, see docs/install.md"
	case holder == "":
		l.Mark, l.Sentence = Failed, "no cloud-controller-manager holds the Lease: nobody hands out addresses"
		l.Remedy = logsOfController
	case until.Before(s.Time):
		l.Mark, l.Sentence = Failed, fmt.Sprintf("the cloud-controller-manager has not been heard of since %s: nobody hands out addresses",
			until.UTC().Format(time.RFC3339))
		l.Remedy = "have a replica run: kubectl -n " + snapshot.ControllerNamespace + " get pods --selector app.kubernetes.io/name=" + snapshot.ControllerName
	default:
		l.Sentence = "the cloud-controller-manager runs"
		if i, found := troubled(s, holder, l.Items); found {
			l.Mark, l.Remedy = Warning, i.Remedy
			l.Sentence = fmt.Sprintf("the cloud-controller-manager has its Lease, and may not answer: Pod %s: %s", i.Name, i.Sentence)
		}
	}
	return l
}

// troubled is what is wrong with the Pod that holds the Lease. If it is not known which Pod that is, something must be wrong with all.
func troubled(s *snapshot.State, holder string, items []Item) (trouble Item, found bool) {
	host, _, _ := strings.Cut(holder, "_") // that of the Pod, or of its node if it has the network of that
	for _, i := range items {
		pod := snapshot.Find(s.Pods, snapshot.ControllerNamespace, i.Name)
		if pod != nil && (pod.Name == host || pod.Spec.NodeName == host) {
			return i, i.Mark != OK
		}
	}
	if len(items) == 0 || slices.ContainsFunc(items, func(i Item) bool { return i.Mark == OK }) {
		return Item{}, false
	}
	return items[0], true
}

func deref[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}

// pods are the pods of a program that do not run as they should, and their versions.
func pods(s *snapshot.State, program string) (items []Item) {
	for _, pod := range s.Pods {
		if pod.Labels["app.kubernetes.io/name"] != program {
			continue
		}
		i := Item{Name: pod.Name, Mark: OK, Sentence: "runs"}
		if problem := podProblem(pod); problem != "" {
			i.Mark, i.Sentence = Warning, problem
			i.Remedy = fmt.Sprintf("kubectl -n %s describe pod %s", pod.Namespace, pod.Name)
		}
		items = append(items, i)
	}
	return items
}

// podProblem is what keeps a pod from being ready; "" if it is.
func podProblem(pod *corev1.Pod) string {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "PodInitializing":
			return sentenceOf(c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			return sentenceOf(c.State.Terminated.Reason, c.State.Terminated.Message)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return sentenceOf(c.Reason, c.Message)
		}
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionFalse {
			return "is not ready"
		}
	}
	return ""
}

func sentenceOf(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + message
}

// AnnouncerOf says how it stands with the announcer of a node: whether it takes part, and what is wrong
// with its node as far as it knows.
func AnnouncerOf(s *snapshot.State, node string) (items []Item) {
	a := s.Announcer(node)
	if a == nil {
		return nil
	}
	conditions := a.Status.Conditions
	for _, about := range []struct {
		kind   string
		remedy string
	}{
		{v1alpha1.ConditionReady, "kubectl -n " + v1alpha1.SystemNamespace + " logs --selector app.kubernetes.io/name=announcer"},
		{v1alpha1.ConditionGossip, "let the nodes reach each other at port 7947, TCP and UDP: see docs/guides/firewall.md"},
		{v1alpha1.ConditionStrictARP, ""},
		{v1alpha1.ConditionKubeProxy, "look at kube-proxy on " + node + ": it does not answer at port 10256"},
		{v1alpha1.ConditionRecorded, ""},
	} {
		c := meta.FindStatusCondition(conditions, about.kind)
		if c == nil {
			continue
		}
		i := Item{Name: about.kind, Mark: OK, Sentence: cmp.Or(c.Message, c.Reason)}
		switch c.Status {
		case metav1.ConditionTrue:
			if c.Reason == v1alpha1.ReasonDraining {
				i.Mark, i.Name, i.Sentence = Note, about.kind+"=True", sentenceOf(c.Reason, c.Message)
			}
		case metav1.ConditionFalse:
			i.Mark, i.Remedy = Warning, about.remedy
			i.Name, i.Sentence = about.kind+"=False", sentenceOf(c.Reason, c.Message)
			if c.Reason == v1alpha1.ReasonAnnouncerDown { // the others are unknown for the same reason
				i.Remedy = "kubectl -n " + v1alpha1.SystemNamespace + " describe pods --selector app.kubernetes.io/name=announcer --field-selector spec.nodeName=" + node
				return append(items, i)
			}
		case metav1.ConditionUnknown:
			i.Mark = Note
			i.Name, i.Sentence = about.kind+"=Unknown", sentenceOf(c.Reason, c.Message)
			if c.Reason == v1alpha1.ReasonNodeUnreachable { // all conditions say so
				i.Mark, i.Remedy = Warning, "see whether the node runs: kubectl describe node "+node
				return append(items, i)
			}
		}
		items = append(items, i)
	}
	return items
}
