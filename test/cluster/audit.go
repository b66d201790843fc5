package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// auditDir is on the machine of the control plane of a kubeadm cluster, and has the policy and the log.
const auditDir = "/etc/kubernetes/audit"

func (c *Cluster) auditLog() string {
	if c.config.Kubeadm {
		return c.nodes[controlPlaneIndex-1].machine().Spec.OnDisk(filepath.Join(auditDir, "log.json"))
	}
	return filepath.Join(c.config.LogDir, "control", "audit.json")
}

// auditPolicy has the API server log what the users of Config.Audited ask for.
func (c *Cluster) auditPolicy() ([]byte, error) {
	return json.Marshal(auditv1.Policy{
		TypeMeta:          metav1.TypeMeta{APIVersion: auditv1.SchemeGroupVersion.String(), Kind: "Policy"},
		Rules:             []auditv1.PolicyRule{{Level: auditv1.LevelMetadata, Users: c.config.Audited}},
		OmitStages:        []auditv1.Stage{auditv1.StageRequestReceived},
		OmitManagedFields: true,
	})
}

// auditFlags are those by which the API server logs what some users ask for. It writes the policy.
func (c *Cluster) auditFlags() ([]string, error) {
	if len(c.config.Audited) == 0 {
		return nil, nil
	}
	policy, err := c.auditPolicy()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(runDir(c.config.Name), "audit-policy.json")
	if err := os.WriteFile(path, policy, 0o644); err != nil {
		return nil, err
	}
	return []string{"--audit-policy-file=" + path, "--audit-log-path=" + c.auditLog(), "--audit-log-maxsize=4000"}, nil
}

// audited is auditFlags for kubeadm: it completes a configuration for kubeadm init.
func (c *Cluster) audited(config string) (string, error) {
	if len(c.config.Audited) == 0 {
		return config, nil
	}
	policy, err := c.auditPolicy()
	if err != nil {
		return "", err
	}
	path := filepath.Join(auditDir, "policy.json")
	if err := c.nodes[controlPlaneIndex-1].machine().WriteFile(path, string(policy)); err != nil {
		return "", err
	}
	return complete(config, object{
		"apiVersion": KubeadmVersion, "kind": "ClusterConfiguration",
		"apiServer": object{
			"extraArgs": []any{
				object{"name": "audit-policy-file", "value": path},
				object{"name": "audit-log-path", "value": filepath.Join(auditDir, "log.json")},
				object{"name": "audit-log-maxsize", "value": "4000"},
			},
			"extraVolumes": []any{object{"name": "audit", "hostPath": auditDir, "mountPath": auditDir, "pathType": "Directory"}},
		},
	})
}

// Audit returns what the users of Config.Audited have asked the API server for. A watch is there since it began.
func (c *Cluster) Audit() ([]auditv1.Event, error) {
	content, err := os.ReadFile(c.auditLog())
	if err != nil && !errors.Is(err, os.ErrNotExist) { // there is none before the first request
		return nil, err
	}
	var events []auditv1.Event
	for line := range bytes.Lines(content) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // is being written
		}
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("read %s: %w", c.auditLog(), err)
		}
		events = append(events, event)
	}
	return events, nil
}
