package loadbalancer

import (
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
)

// All annotations of an object together may have 256 KiB. What repeats them would be too long for an event (1 KiB), and with
// a condition of that size the object could become too large to be written at all.
func TestWhatASentenceRepeatsOfAServiceIsShort(t *testing.T) {
	const longest = 256 << 10
	for name, text := range map[string]string{
		"letters":              strings.Repeat("a", longest),
		"control characters":   strings.Repeat("\x00", longest),
		"characters of a few":  strings.Repeat("ö", longest/2),
		"empty items":          strings.Repeat(",", longest),
		"no list after all":    "10.0.0.1," + strings.Repeat("\U0001F600", longest/5),
		"letters, no UTF-8":    strings.Repeat("\xff", longest),
		"spaces before and in": strings.Repeat(" ", longest/2) + strings.Repeat("x y", longest/8),
	} {
		for where, service := range map[string]*corev1.Service{
			"addresses":      serviceWith(map[string]string{string(AnnotationAddresses): text}),
			"pool":           serviceWith(map[string]string{string(AnnotationPool): text}),
			"MetalLB's pool": serviceWith(map[string]string{string(AnnotationMetalLBPool): text}),
			"sharing":        serviceWith(map[string]string{string(AnnotationSharing): text, string(AnnotationAddresses): "10.0.0.1"}),
			"loadBalancerIP": func() *corev1.Service {
				s := serviceWith(nil)
				s.Spec.LoadBalancerIP = text
				return s
			}(),
		} {
			t.Run(name+" in "+where, func(t *testing.T) {
				s := newScript(t, newPool("p", "10.0.0.1"))
				s.ensure(s.service("web", shares("x", 80)))
				request, _ := NewRequest(service)
				out, err := s.a.Ensure(s.now, request)
				said := out.Message
				if err != nil {
					said = err.(*Error).Sentence()
				}
				if len(said) > 2<<10 || !utf8.ValidString(said) {
					t.Errorf("%d bytes are said: %.80q", len(said), said)
				}
			})
		}
	}
}
