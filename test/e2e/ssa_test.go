package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// userObjects is an object of each kind that users write, with a Service that has an address of the pool. %[1]s changes in all of them.
const userObjects = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: applied, labels: {round: %[1]q}, annotations: {example.com/round: %[1]q}}
spec: {addresses: [192.168.11.0/28], autoAssign: false, exclude: ["192.168.11.%[1]s"]}
---
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressReservation
metadata: {name: applied, labels: {round: %[1]q}}
spec: {addresses: ["192.168.11.1%[1]s"]}
---
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: applied, labels: {round: %[1]q}}
spec: {ipAddressPools: [applied], interfaces: [eth%[1]s]}
---
apiVersion: clarionlb.io/v1alpha1
kind: BFDProfile
metadata: {name: applied, labels: {round: %[1]q}}
spec: {detectMultiplier: %[1]s}
---
apiVersion: clarionlb.io/v1alpha1
kind: BGPPeer
metadata: {name: applied, labels: {round: %[1]q}}
spec: {myASN: 65001, peerASN: 65000, peerAddress: 192.168.10.9%[1]s, bfdProfile: applied}
---
apiVersion: clarionlb.io/v1alpha1
kind: Community
metadata: {name: applied, labels: {round: %[1]q}}
spec: {communities: [{name: local, value: "65001:%[1]s"}]}
---
apiVersion: clarionlb.io/v1alpha1
kind: BGPAdvertisement
metadata: {name: applied, labels: {round: %[1]q}}
spec: {ipAddressPools: [applied], communities: [local], localPref: 10%[1]s}
---
apiVersion: v1
kind: Service
metadata: {name: applied, namespace: default, labels: {round: %[1]q}, annotations: {clarionlb.io/address-pool: applied}}
spec: {type: LoadBalancer, selector: {app: nothing}, ports: [{port: 808%[1]s}]}
`

// testServerSideApply has a user apply objects of all kinds on the server, again and again, while the programs write what is theirs: nobody
// takes anything from the other.
func testServerSideApply(d *deployment) {
	const user = "a-user"
	kinds := []string{"ipaddresspools", "ipaddressreservations", "l2advertisements", "bfdprofiles", "bgppeers", "communities", "bgpadvertisements", "services"}
	file := filepath.Join(d.t.TempDir(), "objects.yaml")
	d.t.Cleanup(func() { d.Kubectl(context.Background(), "delete", "--ignore-not-found", "--filename", file) })
	for _, round := range []string{"3", "4", "4"} {
		if err := os.WriteFile(file, []byte(fmt.Sprintf(userObjects, round)), 0o600); err != nil {
			d.t.Fatal(err)
		}
		d.kubectl("apply", "--server-side", "--field-manager="+user, "--filename", file) // fails on a conflict
		for _, kind := range kinds {
			d.eventually(fmt.Sprintf("%s to be answered and to keep all fields where they belong", kind), func(ctx context.Context) error {
				out, err := d.Kubectl(ctx, "get", kind, "applied", "--output=json", "--show-managed-fields")
				if err != nil {
					return err
				}
				var o unstructured.Unstructured
				if err := o.UnmarshalJSON([]byte(out)); err != nil {
					return err
				}
				if o.GetLabels()["round"] != round {
					return fmt.Errorf("its labels are %v", o.GetLabels())
				}
				if err := answered(&o, d); err != nil {
					return err
				}
				return ownedRightly(&o, user)
			})
		}
	}
}

// answered says whether the programs have written what is theirs to an object.
func answered(o *unstructured.Unstructured, d *deployment) error {
	var said struct {
		Status struct{ Conditions []metav1.Condition }
	}
	text, err := o.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err != nil {
		return err
	}
	kind := v1alpha1.ConditionReady
	switch o.GetKind() {
	case "Service":
		kind = v1alpha1.ConditionAddressAssigned
	case "IPAddressPool":
		if len(o.GetFinalizers()) == 0 {
			return fmt.Errorf("it has no finalizer, although a Service has an address of it")
		}
	}
	c := meta.FindStatusCondition(said.Status.Conditions, kind)
	if c == nil || kind == v1alpha1.ConditionReady && c.ObservedGeneration != o.GetGeneration() || o.GetKind() == "Service" && len(addresses(d.service(o.GetName()))) == 0 {
		return fmt.Errorf("of generation %d, it says %v", o.GetGeneration(), said.Status.Conditions)
	}
	return nil
}

// ownedRightly says whether the user alone owns what he has applied, and the programs own what they have written.
func ownedRightly(o *unstructured.Unstructured, user string) error {
	for _, entry := range o.GetManagedFields() {
		var fields map[string]map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return err
		}
		for field, below := range fields {
			for name := range below {
				ofUser := field == "f:spec" || name == "f:labels" || name == "f:annotations"
				if ofUser != (entry.Manager == user) && !strings.HasPrefix(entry.Manager, "kube-") {
					return fmt.Errorf("%s owns %s %s: %s", entry.Manager, field, name, entry.FieldsV1.GetRawBytes())
				}
			}
		}
	}
	if !slices.ContainsFunc(o.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == user && e.Operation == metav1.ManagedFieldsOperationApply
	}) {
		return fmt.Errorf("%s owns nothing", user)
	}
	return nil
}

// testNoDrift compares the manifests with what is there, as programs for GitOps do all the time: by what the client has applied, and by
// what is applied on the server.
func testNoDrift(d *deployment) {
	const onServer = " --server-side --force-conflicts --field-manager=gitops -k manifests/"
	for _, line := range []string{"kubectl diff -k manifests/", "kubectl apply" + onServer, "kubectl diff" + onServer} {
		d.shell(line) // diff fails on a difference
	}
}
