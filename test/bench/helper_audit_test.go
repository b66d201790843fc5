package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// audit is the API server's log of the requests of the cloud-controller-manager, and of further users.
type audit struct{ log string }

// newAudit returns an audit log, and the configuration with what makes a cluster write it.
func newAudit(b *testing.B, config cluster.Config, users ...string) (*audit, cluster.Config) {
	b.Helper()
	list, err := json.Marshal(append(users, "system:serviceaccount:kube-system:"+install.CCM))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	err = os.WriteFile(policy, []byte(`apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: Metadata, users: `+string(list)+`}
- {level: None}
`), 0o644)
	if err != nil {
		b.Fatal(err)
	}
	a := &audit{log: filepath.Join(dir, "audit.log")}
	config.Flags = map[string][]string{"kube-apiserver": {"--audit-policy-file=" + policy, "--audit-log-path=" + a.log}}
	return a, config
}

// call is a request that the API server has answered.
type call struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	UserAgent string `json:"userAgent"`
	ObjectRef struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Name        string `json:"name"`
	} `json:"objectRef"`
}

// String returns the verb and the resource: "patch services/status".
func (c call) String() string {
	resource := c.ObjectRef.Resource
	if c.ObjectRef.Subresource != "" {
		resource += "/" + c.ObjectRef.Subresource
	}
	return c.Verb + " " + resource
}

const (
	patchService = "patch services/status"
	createEvent  = "create events"
	patchEvent   = "patch events"
)

// mark returns where the log ends now.
func (a *audit) mark(b *testing.B) int64 {
	b.Helper()
	info, err := os.Stat(a.log)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// since returns the calls after a mark.
func (a *audit) since(mark int64) ([]call, error) {
	log, err := os.Open(a.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if _, err := log.Seek(mark, 0); err != nil {
		return nil, err
	}
	var calls []call
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return calls, nil // what is after the last line break is still being written
		}
		var c call
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		calls = append(calls, c)
	}
}

// service returns the name of the Service that a call or its event is about, "" if it is about no
// Service.
func (c call) service() string {
	switch c.ObjectRef.Resource {
	case "services":
		return c.ObjectRef.Name
	case "events": // the recorder of events appends the time to the object's name
		name, _, _ := strings.Cut(c.ObjectRef.Name, ".")
		return name
	}
	return ""
}

// count counts the calls since a mark by verb and resource. It leaves out those about other
// Services than these.
func count(audit *audit, mark int64, services []string) (map[string]int, error) {
	calls, err := audit.since(mark)
	if err != nil {
		return nil, err
	}
	ours := sets.New(services...)
	counts := map[string]int{}
	for _, c := range calls {
		if service := c.service(); service == "" || ours.Has(service) {
			counts[c.String()]++
		}
	}
	return counts, nil
}
