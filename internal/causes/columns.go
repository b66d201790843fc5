package causes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

// columns are what `kubectl get --output wide` shows of an object, but for its age.
func columns(o kruntime.Object) (lines []string) {
	if s, is := o.(*corev1.Service); is {
		return serviceLines(s)
	}
	content, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		panic(err)
	}
	for _, c := range columnsOf()[kindOf(o)] {
		if c.Type == "date" {
			continue
		}
		path := jsonpath.New(c.Name).AllowMissingKeys(true)
		if err := path.Parse("{" + c.JSONPath + "}"); err != nil {
			panic(err)
		}
		var text bytes.Buffer
		if err := path.Execute(&text, content); err != nil {
			panic(err)
		}
		lines = append(lines, fmt.Sprintf("column %s: %s", c.Name, text.String()))
	}
	return lines
}

// serviceLines are what kubectl shows of a Service, of what matters here.
func serviceLines(s *corev1.Service) (lines []string) {
	external := "<pending>"
	if len(s.Status.LoadBalancer.Ingress) > 0 {
		external = s.Status.LoadBalancer.Ingress[0].IP
	}
	lines = append(lines, "column EXTERNAL-IP: "+external)
	if ranges := s.Spec.LoadBalancerSourceRanges; len(ranges) > 0 {
		lines = append(lines, "LoadBalancer Source Ranges: "+strings.Join(ranges, ","))
	}
	return lines
}

// column is one of those that a CustomResourceDefinition has.
type column struct{ Name, JSONPath, Type string }

// columnsOf are those of each kind, in lower case.
var columnsOf = sync.OnceValue(func() map[string][]column {
	_, here, _, _ := runtime.Caller(0)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(here), "../../manifests/crds/clarionlb.io_*.yaml"))
	if err != nil || len(files) == 0 {
		panic(fmt.Sprintf("no CustomResourceDefinitions: %v", err))
	}
	all := map[string][]column{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var crd struct {
			Spec struct {
				Names    struct{ Singular string }
				Versions []struct{ AdditionalPrinterColumns []column }
			}
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			panic(err)
		}
		all[crd.Spec.Names.Singular] = crd.Spec.Versions[0].AdditionalPrinterColumns
	}
	return all
})
