package migrate

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// order works out the steps, and in which order Services are moved: the older first, as the allocator has it.
func (b *builder) order() {
	created := map[types.NamespacedName]metav1.Time{}
	for i := range b.services {
		created[nameOf(&b.services[i])] = b.services[i].CreationTimestamp
	}
	slices.SortFunc(b.plan.Moves, func(x, y Move) int {
		return cmp.Or(created[x.Service].Time.Compare(created[y.Service].Time), cmp.Compare(x.Service.Name, y.Service.Name), cmp.Compare(x.Service.Namespace, y.Service.Namespace))
	})
	add := func(steps ...Step) { b.plan.Steps = append(b.plan.Steps, steps...) }
	title := "Install Clarion"
	if b.plan.Source != ExternalIPs {
		title += " so that it serves no Service yet (flag --require-load-balancer-class of the cloud-controller-manager)"
	}
	add(Step{Title: title, Commands: []string{b.helm("install", b.plan.Source != ExternalIPs, "")}})
	if b.plan.Source == ServiceLB {
		add(b.stop...)
	}
	add(Step{Title: "Make the pools and all else that Clarion needs", ByTool: true})
	if len(b.plan.Moves) > 0 {
		first := b.plan.Moves[max(0, slices.IndexFunc(b.plan.Moves, func(m Move) bool { return m.How != ByFlag }))].Service // of one by flag there is nothing to see yet
		apply := "kubectl clarion migrate " + string(b.plan.Source) + b.options.flags() + " --apply"
		add(Step{Title: "Move one Service, or one namespace, and look at it", ByTool: true, Commands: []string{
			apply + " --canary=" + first.Namespace + "/" + first.Name}},
			Step{Title: "Move the others", ByTool: true, Commands: []string{apply}})
	}
	class := ""
	if b.uses(ByFlag) && len(b.classes) == 1 {
		class = b.classes[0]
		add(Step{Title: "Have Clarion serve the class of the Services, which cannot be changed: the same flag for both programs. They keep their addresses",
			Commands: []string{b.helm("upgrade", true, class)}})
	}
	if b.plan.Source != ServiceLB {
		add(b.stop...)
	}
	if b.uses(Adopt) {
		add(Step{Title: "Have Clarion serve new Services without a class, too: without --require-load-balancer-class", Commands: []string{
			b.helm("upgrade", false, class)}})
	}
	if b.ignoreExclude {
		b.remark(Note, Ref{}, "MetalLB has --ignore-exclude-lb: both programs of Clarion need --ignore-exclude-label")
	} else if excluded := b.excludedNodes(); len(excluded) > 0 {
		b.remark(Note, Ref{}, "nodes %s are excluded by label from load balancers: Clarion does not announce from them", strings.Join(excluded, ", "))
	}
	b.noteSessions()
	sortRemarks(b.plan.Remarks)
}

// uses says whether a Service is moved in that way.
func (b *builder) uses(how How) bool {
	return slices.ContainsFunc(b.plan.Moves, func(m Move) bool { return m.How == how })
}

// helm is the command that installs Clarion, or upgrades it, with the flags that it needs.
func (b *builder) helm(verb string, require bool, class string) string {
	var controller, announcer []string
	if require {
		controller = append(controller, "--require-load-balancer-class")
	}
	if class != "" {
		controller, announcer = append(controller, "--load-balancer-class="+class), append(announcer, "--load-balancer-class="+class)
	}
	if b.ignoreExclude {
		controller, announcer = append(controller, "--ignore-exclude-label"), append(announcer, "--ignore-exclude-label")
	}
	command := "helm " + verb + " clarion manifests/chart --namespace=kube-system"
	if verb == "upgrade" {
		command += " --reset-values" // or Helm keeps all flags from before where there are none now
	}
	for i, flags := range [][]string{controller, announcer} {
		if len(flags) > 0 {
			command += " --set '" + []string{"controller", "announcer"}[i] + ".extraArgs={" + strings.Join(flags, ",") + "}'"
		}
	}
	return command
}

// excludedNodes are those with the label that excludes from external load balancers.
func (b *builder) excludedNodes() []string {
	var names []string
	for _, node := range b.nodes {
		if _, is := node.Labels["node.kubernetes.io/exclude-from-external-load-balancers"]; is {
			names = append(names, node.Name)
		}
	}
	return names
}

// flags are those of "kubectl clarion migrate" that say the same, each after a space.
func (o Options) flags() (text string) {
	if len(o.Pool) > 0 {
		text += " --pool=" + strings.Join(o.Pool, ",")
	}
	if o.Recreate {
		text += " --recreate"
	}
	if o.class() != v1alpha1.LoadBalancerClass {
		text += " --class=" + o.Class
	}
	return text
}

// class is the load balancer class that Services get.
func (o Options) class() string {
	if o.Class != "" {
		return o.Class
	}
	return v1alpha1.LoadBalancerClass
}
