package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// defaultPath is the PATH of an image that sets none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is what the variables and volumes of a pod's containers may refer to.
type environment struct {
	data    *data
	pod     *v1.Pod
	podIPs  []netip.Addr
	hostIPs []netip.Addr
}

// variables gives a container's environment: the API server's address, then the container's own in
// their order.
func (e environment) variables(ctx context.Context, container *v1.Container) (map[string]string, error) {
	host, port, err := e.data.apiServer(ctx)
	if err != nil {
		return nil, err
	}
	hostname := e.pod.Name
	if e.pod.Spec.HostNetwork {
		hostname = e.pod.Spec.NodeName
	}
	variables := map[string]string{
		"PATH":                          defaultPath,
		"HOSTNAME":                      hostname,
		"KUBERNETES_SERVICE_HOST":       host,
		"KUBERNETES_SERVICE_PORT":       port,
		"KUBERNETES_SERVICE_PORT_HTTPS": port,
	}
	for _, source := range container.EnvFrom {
		values, err := e.dataOf(ctx, source)
		if err != nil {
			return nil, err
		}
		for key, value := range values {
			variables[source.Prefix+key] = value
		}
	}
	for _, variable := range container.Env {
		value, ok, err := e.value(ctx, container, variable, variables)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", variable.Name, err)
		}
		if ok {
			variables[variable.Name] = value
		}
	}
	return variables, nil
}

func (e environment) dataOf(ctx context.Context, source v1.EnvFromSource) (map[string]string, error) {
	switch {
	case source.ConfigMapRef != nil:
		values, err := e.data.configMap(ctx, source.ConfigMapRef.Name, source.ConfigMapRef.Optional)
		return texts(values), err
	case source.SecretRef != nil:
		values, err := e.data.secret(ctx, source.SecretRef.Name, source.SecretRef.Optional)
		return texts(values), err
	}
	return nil, nil
}

func texts(data map[string][]byte) map[string]string {
	text := map[string]string{}
	for key, value := range data {
		text[key] = string(value)
	}
	return text
}

// value gives a variable's value; it has none where it refers to something optional that is not there.
func (e environment) value(ctx context.Context, container *v1.Container, variable v1.EnvVar, earlier map[string]string) (value string, ok bool, err error) {
	from := variable.ValueFrom
	switch {
	case from == nil:
		return expand(variable.Value, earlier), true, nil
	case from.FieldRef != nil:
		value, err := e.field(from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err := resourceField(from.ResourceFieldRef, container)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		values, err := e.data.configMap(ctx, ref.Name, ref.Optional)
		return key(values, err, ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		values, err := e.data.secret(ctx, ref.Name, ref.Optional)
		return key(values, err, ref.Key, ref.Optional)
	}
	return "", false, fmt.Errorf("source is not supported")
}

func key(data map[string][]byte, err error, key string, optional *bool) (string, bool, error) {
	if err != nil {
		return "", false, err
	}
	value, ok := data[key]
	if !ok && !first(false, optional) {
		return "", false, fmt.Errorf("couldn't find key %s", key)
	}
	return string(value), ok, nil
}

// field gives a field of the pod, as the downward API names it.
func (e environment) field(path string) (string, error) {
	pod := e.pod
	if name, key, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		switch name {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return quoted(pod.Labels), nil
	case "metadata.annotations":
		return quoted(pod.Annotations), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP":
		return e.podIPs[0].String(), nil
	case "status.podIPs":
		return join(e.podIPs), nil
	case "status.hostIP":
		return e.hostIPs[0].String(), nil
	case "status.hostIPs":
		return join(e.hostIPs), nil
	}
	return "", fmt.Errorf("field %q is not supported", path)
}

// quoted gives labels or annotations as the downward API writes them to a file.
func quoted(values map[string]string) string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, key+"="+strconv.Quote(values[key]))
	}
	return strings.Join(lines, "\n")
}

// resourceField gives a request or limit of the container, in units of the divisor, rounded up.
// What is not limited is as large as the node.
func resourceField(ref *v1.ResourceFieldSelector, container *v1.Container) (string, error) {
	list, name, _ := strings.Cut(ref.Resource, ".")
	var quantity resource.Quantity
	switch list {
	case "limits":
		var limited bool
		if quantity, limited = container.Resources.Limits[v1.ResourceName(name)]; !limited {
			quantity = nodeCapacity()[v1.ResourceName(name)]
		}
	case "requests":
		quantity = container.Resources.Requests[v1.ResourceName(name)]
	default:
		return "", fmt.Errorf("resource %q is not supported", ref.Resource)
	}
	divisor := ref.Divisor.AsApproximateFloat64()
	if divisor == 0 {
		divisor = 1
	}
	return strconv.FormatInt(int64(math.Ceil(quantity.AsApproximateFloat64()/divisor)), 10), nil
}

// expand replaces $(NAME) by the variable of that name. A reference to no variable stays as it is,
// and so does $(NAME) behind a second dollar sign, without that sign.
func expand(text string, variables map[string]string) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "$")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		text = rest
		if escaped, ok := strings.CutPrefix(rest, "$"); ok {
			out.WriteString("$")
			text = escaped
			continue
		}
		reference, ok := strings.CutPrefix(rest, "(")
		name, after, closed := strings.Cut(reference, ")")
		if value, known := variables[name]; ok && closed && known {
			out.WriteString(value)
			text = after
			continue
		}
		out.WriteString("$")
	}
}

func expandAll(texts []string, variables map[string]string) []string {
	var expanded []string
	for _, text := range texts {
		expanded = append(expanded, expand(text, variables))
	}
	return expanded
}

// list gives variables as a process takes them.
func list(variables map[string]string) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		env = append(env, name+"="+variables[name])
	}
	return env
}

func join(ips []netip.Addr) string {
	var texts []string
	for _, ip := range ips {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, ",")
}
