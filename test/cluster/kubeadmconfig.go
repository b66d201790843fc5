package cluster

import (
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/yaml"
)

// object is a document of YAML.
type object = map[string]any

// KubeadmVersion is the version of kubeadm's configuration.
const KubeadmVersion = "kubeadm.k8s.io/v1beta4"

// InitConfig completes a configuration for kubeadm init by what the machines of a test cluster
// need. It changes nothing that the configuration says.
func InitConfig(config string, kubernetesVersion string, apiAddress netip.Addr) (string, error) {
	return complete(config,
		object{
			"apiVersion": KubeadmVersion, "kind": "InitConfiguration",
			"nodeRegistration": nodeRegistration(),
			"localAPIEndpoint": object{"advertiseAddress": apiAddress.String()},
		},
		object{
			"apiVersion": KubeadmVersion, "kind": "ClusterConfiguration",
			// Without it, kubeadm asks the internet for the newest.
			"kubernetesVersion": kubernetesVersion,
			// The machine's disk may be slow, and is not lost with a test's power.
			"etcd": object{"local": extraArgs("unsafe-no-fsync", "true")},
			// There is one of each. With an election, one that starts anew waits until the lease of its
			// predecessor has ended.
			"controllerManager": extraArgs("leader-elect", "false"),
			"scheduler":         extraArgs("leader-elect", "false"),
		},
		object{
			"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
			// These sizes and times belong to the whole machine.
			"conntrack": object{"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		},
		object{
			"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
			"cgroupDriver": "cgroupfs", "failCgroupV1": false,
			// A manifest that comes or goes is noticed at once.
			"fileCheckFrequency": "1s",
			// A container that has ended is started again at once, not after minutes.
			"crashLoopBackOff": object{"maxContainerRestartPeriod": "1s"},
			// Processes may not raise their claim to memory above that of others everywhere.
			"oomScoreAdj": 0,
			// The disk belongs to the machine's user.
			"imageGCHighThresholdPercent": 100,
			"evictionHard":                object{"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
		},
	)
}

// JoinConfig completes a configuration for kubeadm join by what the machines of a test cluster
// need. It changes nothing that the configuration says.
func JoinConfig(config string) (string, error) {
	return complete(config, object{
		"apiVersion": KubeadmVersion, "kind": "JoinConfiguration",
		"nodeRegistration": nodeRegistration(),
	})
}

// extraArgs is a component's, or etcd's, with one more flag.
func extraArgs(flag, value string) object {
	return object{"extraArgs": []any{object{"name": flag, "value": value}}}
}

func nodeRegistration() object {
	return object{
		"imagePullPolicy": "Never",
		// Control groups of version 1, and a kernel that does not tell its configuration.
		"ignorePreflightErrors": []any{"SystemVerification"},
	}
}

// complete adds what is missing to the documents of a configuration, and documents that are missing.
func complete(config string, additions ...object) (string, error) {
	var documents []object
	for _, text := range strings.Split(config, "\n---\n") {
		var document object
		if err := yaml.UnmarshalStrict([]byte(text), &document); err != nil {
			return "", err
		}
		if document != nil {
			documents = append(documents, document)
		}
	}
	for _, addition := range additions {
		found := false
		for _, document := range documents {
			if document["kind"] == addition["kind"] {
				found = true
				if err := merge(document, addition); err != nil {
					return "", fmt.Errorf("%s: %w", addition["kind"], err)
				}
			}
		}
		if !found {
			documents = append(documents, addition)
		}
	}
	var texts []string
	for _, document := range documents {
		text, err := yaml.Marshal(document)
		if err != nil {
			return "", err
		}
		texts = append(texts, string(text))
	}
	return strings.Join(texts, "---\n"), nil
}

// merge adds fields to an object, which must not say something else.
func merge(to, from object) error {
	for key, value := range from {
		existing, ok := to[key]
		if !ok {
			to[key] = value
			continue
		}
		inner, isObject := existing.(object)
		addition, both := value.(object)
		if isObject && both {
			if err := merge(inner, addition); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			continue
		}
		if fmt.Sprint(existing) != fmt.Sprint(value) {
			return fmt.Errorf("%s is %v already, a test cluster needs %v", key, existing, value)
		}
	}
	return nil
}
