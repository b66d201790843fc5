package liblog

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sayers are which package says each line of the routine, and how that is written there.
var sayers = map[string]struct{ pkg, literal string }{
	"Caches are synced":          {"k8s.io/client-go/tools/cache", `"Caches are synced"`},
	"Generated self-signed cert": {"k8s.io/apiserver/pkg/server/options", `"Generated self-signed cert in-memory"`},
	"Neither --kubeconfig nor --master was specified.  Using the inClusterConfig.": {
		"k8s.io/client-go/tools/clientcmd", `"Neither --kubeconfig nor --master was specified.  Using the inClusterConfig.`,
	},
	"Sending events to api server":                      {"k8s.io/cloud-provider/controllers/node", `"Sending events to api server.`},
	"Serving securely on ":                              {"k8s.io/apiserver/pkg/server", `"Serving securely on %s"`},
	"Shutting down controller":                          {"k8s.io/apiserver/pkg/server/dynamiccertificates", `"Shutting down controller"`},
	"Shutting down DynamicServingCertificateController": {"k8s.io/apiserver/pkg/server/dynamiccertificates", `"Shutting down DynamicServingCertificateController"`},
	"Shutting down RequestHeaderAuthRequestController":  {"k8s.io/apiserver/pkg/authentication/request/headerrequest", `"Shutting down %s"`},
	"Shutting down service controller":                  {"k8s.io/cloud-provider/controllers/service", `"Shutting down service controller"`},
	"Starting controller":                               {"k8s.io/apiserver/pkg/server/dynamiccertificates", `"Starting controller"`},
	"Starting DynamicServingCertificateController":      {"k8s.io/apiserver/pkg/server/dynamiccertificates", `"Starting DynamicServingCertificateController"`},
	"Starting RequestHeaderAuthRequestController":       {"k8s.io/apiserver/pkg/authentication/request/headerrequest", `"RequestHeaderAuthRequestController"`},
	"Starting service controller":                       {"k8s.io/cloud-provider/controllers/service", `"Starting service controller"`},
	"Stopped listening on ":                             {"k8s.io/apiserver/pkg/server", `"Stopped listening on %s"`},
	"Waiting for caches to sync":                        {"k8s.io/client-go/tools/cache", `"Waiting for caches to sync"`},
	"Waiting for informer caches to sync":               {"k8s.io/cloud-provider/controllers/node", `"Waiting for informer caches to sync"`},
	"Warning: resync period is smaller than resync check period": {
		"k8s.io/client-go/tools/cache", `"Warning: resync period is smaller than resync check period and`,
	},
	`Started "`: {"k8s.io/cloud-provider/app", `"Started %q"`},
	`"cloud-node-lifecycle-controller" is disabled`: {"k8s.io/cloud-provider/app", `"%q is disabled"`},
}

func TestTheLibrariesSayWhatIsTakenForTheirRoutine(t *testing.T) {
	if known := slices.Sorted(maps.Keys(sayers)); !slices.Equal(known, slices.Sorted(slices.Values(routine))) {
		t.Errorf("the routine is %q, and it is known who says %q", routine, known)
	}
	packages := map[string]bool{}
	for _, sayer := range sayers {
		packages[sayer.pkg] = true
	}
	sources := sourcesOf(t, slices.Sorted(maps.Keys(packages)))
	for text, sayer := range sayers {
		if !strings.Contains(sources[sayer.pkg], sayer.literal) {
			t.Errorf("%q: %s does not say %s", text, sayer.pkg, sayer.literal)
		}
	}
}

// sourcesOf are the sources of packages that the module requires.
func sourcesOf(t *testing.T, packages []string) map[string]string {
	t.Helper()
	listed, err := exec.Command("go", append([]string{"list", "-find", "-f", "{{.ImportPath}} {{.Dir}}"}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for line := range strings.Lines(string(listed)) {
		pkg, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources[pkg] += string(text)
		}
	}
	return sources
}
