package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// testUnrecorded has the API accept one address in the status of an Announcer at most, and creates
// more Services than there are nodes. A status that is too large for the API would be refused in
// the same way.
func testUnrecorded(d *deployment) {
	limit := func(op string) {
		d.t.Helper()
		d.kubectl("patch", "crd", "announcers.clarionlb.io", "--type=json", `--patch=[{"op": "`+op+
			`", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/layer2/properties/addresses/maxItems", "value": 1}]`)
	}
	limit("add")
	d.eventually("the API to refuse two addresses", func(ctx context.Context) error {
		claim := func(ip string) v1alpha1.Layer2Address { return v1alpha1.Layer2Address{IP: ip, Since: metav1.Now()} }
		patch, err := json.Marshal([]any{map[string]any{"op": "add", "path": "/status/layer2/addresses", "value": []any{claim("192.0.2.1"), claim("192.0.2.2")}}})
		if err != nil {
			return err
		}
		_, err = d.Clarion.ClarionV1alpha1().Announcers().Patch(ctx, "n1", types.JSONPatchType, patch,
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status")
		if !apierrors.IsInvalid(err) {
			return fmt.Errorf("it says %v", err)
		}
		return nil
	})
	names := []string{"more-1", "more-2", "more-3"}
	d.loadBalancers(nil, names...)
	complaints := func(ctx context.Context) (all []string, err error) {
		announcers, err := d.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, a := range announcers.Items {
			if c := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionRecorded); c != nil {
				all = append(all, fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message))
			}
		}
		return all, nil
	}
	d.eventually("an Announcer to say that it could not be written", func(ctx context.Context) error {
		all, err := complaints(ctx)
		if err == nil && (len(all) != 1 || !strings.HasPrefix(all[0], "False "+v1alpha1.ReasonWriteRefused) || !strings.Contains(all[0], "must have at most 1 item")) {
			err = fmt.Errorf("the complaints are %q", all)
		}
		return err
	})
	for _, name := range names {
		address := d.awaitAddress(name)
		watch := d.watch(address)
		d.eventually(fmt.Sprintf("one node to answer for %s", address), func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			_, err := watch.AwaitSole(ctx, address, 10)
			return err
		})
		if err := watch.Stop(); err != nil {
			d.t.Error(err)
		}
	}
	limit("remove")
	for _, name := range names {
		d.awaitAnnounced(name, v1alpha1.ReasonAnnounced, ".*")
	}
	d.eventually("nothing to complain of", func(ctx context.Context) error {
		all, err := complaints(ctx)
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("the complaints are %q", all)
		}
		return err
	})
	d.delete(names...)
}
