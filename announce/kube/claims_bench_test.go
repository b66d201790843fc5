package kube

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned/scheme"
)

// BenchmarkClaims is what 1,000 claims of an Announcer cost whoever reads and whoever writes them.
func BenchmarkClaims(b *testing.B) {
	status := claimed(1000)
	object := &v1alpha1.Announcer{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Announcer"},
		ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: status,
	}
	text, err := json.Marshal(object)
	if err != nil {
		b.Fatal(err)
	}
	same := claimed(1000)
	view := plan.NewView()
	for _, what := range []struct {
		name string
		do   func() error
	}{
		{"read", func() error {
			_, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), text)
			return err
		}},
		{"take", func() error {
			view.SetAnnouncer("n1", object)
			return nil
		}},
		{"compare", func() error {
			equalStatus(status, same)
			return nil
		}},
		{"write", func() error {
			_, err := json.Marshal(status)
			return err
		}},
	} {
		b.Run(what.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := what.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
