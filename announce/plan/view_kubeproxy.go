package plan

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// kubeProxies is what Announcers say of the kube-proxy on their nodes: whether it serves, by node. A
// node of which nothing is said has none.
type kubeProxies struct {
	serves map[string]bool
	// serving is how many serve.
	serving int
}

// down says whether the kube-proxy of a node does not serve. Where none is seen to serve on any node
// this says nothing: something else may be in its place.
func (k *kubeProxies) down(node string) bool {
	serves, said := k.serves[node]
	return said && !serves && k.serving > 0
}

// saysOfKubeProxy is the condition in which an Announcer says whether the kube-proxy of its node serves; nil if it says nothing. One
// that is Unknown because the announcer cannot speak for itself says nothing of kube-proxy.
func saysOfKubeProxy(object *v1alpha1.Announcer) *metav1.Condition {
	if object == nil {
		return nil
	}
	condition := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionKubeProxy)
	if condition != nil && condition.Status == metav1.ConditionUnknown && condition.Reason != v1alpha1.ReasonNoAnswer {
		return nil
	}
	return condition
}

// setKubeProxy takes what an Announcer says of the kube-proxy on its node; nil if the Announcer is
// gone.
func (v *View) setKubeProxy(node string, object *v1alpha1.Announcer) {
	condition := saysOfKubeProxy(object)
	serves, said := v.kubeProxies.serves[node]
	serving := v.kubeProxies.serving
	if said && serves {
		v.kubeProxies.serving--
	}
	if condition == nil {
		delete(v.kubeProxies.serves, node)
	} else {
		v.kubeProxies.serves[node] = condition.Status == metav1.ConditionTrue
		if v.kubeProxies.serves[node] {
			v.kubeProxies.serving++
		}
	}
	if now, is := v.kubeProxies.serves[node]; now != serves || is != said {
		v.layer2.all = true
		v.routes.touchNode(node)
	}
	if (serving > 0) != (v.kubeProxies.serving > 0) {
		v.routes.all = true
	}
}
