package bundle

import (
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// removed stands where something was left out.
const removed = "(removed)"

// annotationDomains are those of the annotations whose values stay: what Clarion and MetalLB read, and Kubernetes writes. Anything may be in
// the others: the last applied configuration, notes of people, settings of other programs.
var annotationDomains = []string{"clarionlb.io/", "metallb.io/", "metallb.universe.tf/", "endpoints.kubernetes.io/", "leaderelection.k8s.io/"}

// notKept are annotations of these domains that have a copy of the whole object in them.
var notKept = []string{corev1.LastAppliedConfigAnnotation}

// cleaned is a copy of an object of a Snapshot without anything that may be a secret. Of pods, which have most, only what matters is in it.
func cleaned(object runtime.Object) runtime.Object {
	if pod, is := object.(*corev1.Pod); is {
		object = podOf(pod)
	} else {
		object = object.DeepCopyObject()
	}
	if m, is := object.(metav1.Object); is {
		m.SetManagedFields(nil)
		m.SetAnnotations(cleanAnnotations(m.GetAnnotations()))
	}
	return object
}

func cleanAnnotations(annotations map[string]string) map[string]string {
	if len(annotations) == 0 {
		return nil
	}
	kept := map[string]string{}
	for name, value := range annotations {
		known := slices.ContainsFunc(annotationDomains, func(domain string) bool { return strings.HasPrefix(name, domain) })
		if !known || slices.Contains(notKept, name) {
			value = removed
		}
		kept[name] = value
	}
	return kept
}

// podOf is what a pod is and how it fares: no environment, no volumes, no probes and no hooks.
func podOf(pod *corev1.Pod) *corev1.Pod {
	out := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Labels: pod.Labels, CreationTimestamp: pod.CreationTimestamp,
			DeletionTimestamp: pod.DeletionTimestamp, OwnerReferences: pod.OwnerReferences,
		},
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork, Tolerations: pod.Spec.Tolerations},
		Status: *pod.Status.DeepCopy(),
	}
	for _, c := range pod.Spec.Containers {
		out.Spec.Containers = append(out.Spec.Containers, corev1.Container{
			Name: c.Name, Image: c.Image, Command: cleanArguments(c.Command), Args: cleanArguments(c.Args), Resources: c.Resources,
		})
	}
	return out
}

// cleanArguments leaves the values of flags out that may be secret.
func cleanArguments(arguments []string) (list []string) {
	hide := false
	for _, argument := range arguments {
		name, _, hasValue := strings.Cut(argument, "=")
		switch {
		case hide && !strings.HasPrefix(argument, "-"):
			argument = removed
		case secretName.MatchString(name) && hasValue:
			argument = name + "=" + removed
		}
		hide = secretName.MatchString(name) && !hasValue && strings.HasPrefix(argument, "-")
		list = append(list, argument)
	}
	return list
}

// secretName is a name of something that is a secret.
var secretName = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|credential|private[-_]?key|api[-_]?key|auth(orization)?)$`)

// secrets are texts that are one, with what is left of them.
var secrets = []struct {
	found *regexp.Regexp
	left  string
}{
	// PEM: private keys and certificates, also where the line breaks are escaped.
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----`), removed},
	{regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*`), removed}, // one that is cut off
	// JSON Web Tokens, as those of service accounts are.
	{regexp.MustCompile(`\beyJ[\w-]+\.[\w-]*(\.[\w-]*)?`), removed},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}`), "$1 " + removed},
	// The password in an URL.
	{regexp.MustCompile(`(\w+://[^\s/:@]*:)[^\s/@]+@`), "$1" + removed + "@"},
	// A name and its value: password=x, "token": "x", password is "x".
	{regexp.MustCompile(`(?i)((?:pass(?:word|wd|phrase)?|secret|token|credentials?|private[-_]?key|api[-_]?key|gossip[-_]?key|authorization)\\*["']?` +
		`[ \t]*[=:][ \t]*)(\\*"[^"\n]*"|\\*'[^'\n]*'|[^\s,;}"']+)`), "$1" + removed},
	{regexp.MustCompile(`(?i)\b(pass(?:word|phrase)[ \t]+(?:is|was)[ \t]+)("[^"\n]*"|'[^'\n]*'|\S+)`), "$1" + removed},
	// The encoding of 32 bytes or more, as a key of the gossip has.
	{regexp.MustCompile(`\b[A-Za-z0-9+/]{42,}={1,2}`), removed},
}

// Scrub is a text in which nothing is left that looks like a secret.
func Scrub(text []byte) []byte {
	for _, s := range secrets {
		text = s.found.ReplaceAll(text, []byte(s.left))
	}
	return text
}

// unknownKinds says why kinds are not in a bundle, a line for each.
func unknownKinds(taken *snapshot.Snapshot) string {
	var b strings.Builder
	for _, unread := range taken.Unread {
		b.WriteString(unread.Kind + ": " + unread.Why + "\n")
	}
	return b.String()
}
