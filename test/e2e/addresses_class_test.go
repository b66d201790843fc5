package e2e

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func testClasses(d *deployment) {
	finalizer := func(s *corev1.Service) {
		s.Finalizers = []string{servicehelpers.LoadBalancerCleanupFinalizer}
	}

	d.scenario("a Service of another class is left alone, even with the well-known finalizer and while it is deleted", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancer("foreign", all(class("example.com/other"), finalizer, wish("192.0.2.0")))
		d.update("foreign", annotate("clarionlb.io/address-pool", "pool"))
		if err := d.Kubernetes().CoreV1().Services(d.namespace).Delete(d.ctx, "foreign", metav1.DeleteOptions{}); err != nil {
			d.t.Fatal(err)
		}
		check := d.untouched("foreign")
		d.loadBalancers(all(class(v1alpha1.LoadBalancerClass), wish("192.0.2.0")), "ours")
		check()
		if service := d.service("foreign"); !slices.Equal(service.Finalizers, []string{servicehelpers.LoadBalancerCleanupFinalizer}) {
			d.t.Errorf("the foreign Service has finalizers %v", service.Finalizers)
		}
		d.update("foreign", func(s *corev1.Service) { s.Finalizers = nil }) // as its own controller does
	})

	d.scenario("with --require-load-balancer-class Services without a class are left alone, except those served before", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancers(nil, "served", "changes")
		d.loadBalancer("refused", annotate("clarionlb.io/address-pool", "later"))
		d.awaitRefusal("refused", "NoMatchingPool", "does not exist")
		served := d.untouched("served")

		d.kubectl("patch", "--namespace=kube-system", "deployment", ccm, "--type=json",
			`--patch=[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--require-load-balancer-class"}]`)
		d.awaitCCM()
		d.loadBalancer("classless", nil)
		d.loadBalancer("classless-with-finalizer", finalizer)
		classless := d.untouched("classless", "classless-with-finalizer")

		d.loadBalancers(class(v1alpha1.LoadBalancerClass), "ours")
		d.update("changes", wish("192.0.2.9"))
		d.awaitAddresses("changes", "192.0.2.9")
		d.provide(pool("later", "198.51.100.0"))
		d.awaitAddresses("refused", "198.51.100.0")
		served()
		d.provide(poolWith("later", "exclude: [198.51.100.0]", "198.51.100.0"))
		d.awaitRefusal("refused", "PoolExhausted", `pool "later" has no free IPv4 address`)
		d.delete("served", "changes", "refused") // with their finalizers
		classless()
		d.awaitCounts("pool", v1alpha1.AddressCounts{Total: 16, Assigned: 1, Available: 15})
		d.update("classless-with-finalizer", func(s *corev1.Service) { s.Finalizers = nil })
	})
}
