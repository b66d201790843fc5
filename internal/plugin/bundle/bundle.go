// Package bundle is the verb that makes an archive for those who help: what there is and what the programs say, without secrets.
package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/version"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/internal/plugin/archive"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// tailLines bounds the log of a container.
const tailLines = 20_000

// readme is what the archive says of itself.
const readme = `What Clarion was like when this archive was made, for those who help.

objects/   the objects of Clarion, the Services of type LoadBalancer with their EndpointSlices, Nodes, Namespaces, pods of both programs,
           and events. "kubectl clarion" reads them with -f or --from.
answers/   what "kubectl clarion status" says of them, and "kubectl clarion why" of each Service in trouble
logs/      what both programs say, and said before they were last restarted
metrics/   what both programs measure
version    of the API server, of this plugin, and of the images
missing    what could not be read, and why; absent if all could

No Secret was read. Values of annotations that Clarion does not know, the environment of pods and everything that looks like a password, a
token or a key were left out. Addresses, names of Services and of nodes are in it: look at it before you hand it on.
`

// bundle is an archive that is being written.
type bundle struct {
	archive *tar.Writer
	made    time.Time
	// folder is what all names begin with.
	folder  string
	missing strings.Builder
}

// write makes an archive (tar, gzip) of a Snapshot and what follows from it, of the logs, the metrics and the versions.
func write(ctx context.Context, to io.Writer, taken *snapshot.Snapshot, kube kubernetes.Interface, metrics scraper) error {
	compressed := gzip.NewWriter(to)
	b := &bundle{archive: tar.NewWriter(compressed), made: taken.Time, folder: "clarion-support"}
	b.missing.WriteString(unknownKinds(taken))
	err := errors.Join(
		b.add("README", []byte(readme)),
		b.addObjects(taken),
		b.addAnswers(taken.State()),
		b.addLogs(ctx, taken.Pods, kube),
		b.addMetrics(ctx, taken.Pods, metrics),
		b.addVersions(taken.Pods, kube),
	)
	if err == nil && b.missing.Len() > 0 {
		err = b.add("missing", []byte(b.missing.String()))
	}
	return errors.Join(err, b.archive.Close(), compressed.Close())
}

// add adds a file, without what looks like a secret.
func (b *bundle) add(name string, text []byte) error { return b.addFile(name, Scrub(text)) }

func (b *bundle) addFile(name string, text []byte) error {
	header := &tar.Header{Name: path.Join(b.folder, name), Mode: 0o600, Size: int64(len(text)), ModTime: b.made, Format: tar.FormatPAX}
	if err := b.archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := b.archive.Write(text)
	return err
}

// addObjects adds a file for each kind.
func (b *bundle) addObjects(taken *snapshot.Snapshot) error {
	files := map[string]*bytes.Buffer{}
	var names []string
	for _, object := range relevant(taken) {
		kinds, _, err := snapshot.Scheme.ObjectKinds(object)
		if err != nil {
			return err
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(cleaned(object))
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: scrubbed(content).(map[string]any)}
		u.SetGroupVersionKind(kinds[0])
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			return err
		}
		name := archive.Folder + "/" + strings.ToLower(kinds[0].Kind) + ".yaml"
		if files[name] == nil {
			files[name] = &bytes.Buffer{}
			names = append(names, name)
		}
		fmt.Fprintf(files[name], "---\n%s", text)
	}
	for _, name := range names {
		if err := b.addFile(name, files[name].Bytes()); err != nil { // each value was scrubbed
			return err
		}
	}
	return nil
}

// relevant are the objects of a Snapshot but for Services of other types, and their EndpointSlices.
func relevant(taken *snapshot.Snapshot) (list []runtime.Object) {
	without := *taken
	without.Services = slices.DeleteFunc(slices.Clone(taken.Services), func(s *corev1.Service) bool {
		return s.Spec.Type != corev1.ServiceTypeLoadBalancer && len(s.Spec.ExternalIPs) == 0 && len(s.Status.Conditions) == 0
	})
	kept := sets.New[types.NamespacedName]()
	for _, service := range without.Services {
		kept.Insert(snapshot.NameOf(service))
	}
	without.EndpointSlices = slices.DeleteFunc(slices.Clone(taken.EndpointSlices), func(s *discoveryv1.EndpointSlice) bool {
		return !kept.Has(snapshot.ServiceOf(s))
	})
	return without.Objects()
}

// scrubbed is a value in whose texts nothing is left that looks like a secret, or that is in a field with the name of one.
func scrubbed(value any) any {
	switch value := value.(type) {
	case string:
		return string(Scrub([]byte(value)))
	case []any:
		for i := range value {
			value[i] = scrubbed(value[i])
		}
	case map[string]any:
		for field := range value {
			value[field] = scrubbed(value[field])
			if _, is := value[field].(string); is && secretName.MatchString(field) {
				value[field] = removed
			}
		}
	}
	return value
}

// addLogs adds what the containers of both programs say.
func (b *bundle) addLogs(ctx context.Context, pods []*corev1.Pod, kube kubernetes.Interface) error {
	for _, pod := range pods {
		for _, c := range pod.Spec.Containers {
			for _, previous := range []bool{false, true} {
				if previous && !restarted(pod, c.Name) {
					continue
				}
				name := fmt.Sprintf("logs/%s/%s/%s.log", pod.Namespace, pod.Name, c.Name)
				if previous {
					name = strings.TrimSuffix(name, ".log") + ".previous.log"
				}
				options := &corev1.PodLogOptions{Container: c.Name, Previous: previous, TailLines: new(int64(tailLines)), Timestamps: true}
				text, err := kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).DoRaw(ctx)
				if err != nil {
					fmt.Fprintf(&b.missing, "%s: %v\n", name, err)
					continue
				}
				if err := b.add(name, text); err != nil {
					return err
				}
			}
		}
	}
	return ctx.Err()
}

func restarted(pod *corev1.Pod, container string) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == container && s.RestartCount > 0 })
}

func (b *bundle) addVersions(pods []*corev1.Pod, kube kubernetes.Interface) error {
	var text strings.Builder
	fmt.Fprintf(&text, "kubectl-clarion %s\n", version.Get().GitVersion)
	if server, err := kube.Discovery().ServerVersion(); err != nil {
		fmt.Fprintf(&b.missing, "the version of the API server: %v\n", err)
	} else {
		fmt.Fprintf(&text, "API server %s (%s)\n", server.GitVersion, server.Platform)
	}
	for _, pod := range pods {
		for _, s := range pod.Status.ContainerStatuses {
			fmt.Fprintf(&text, "%s/%s %s %s\n", pod.Namespace, pod.Name, s.Image, s.ImageID)
		}
	}
	return b.add("version", []byte(text.String()))
}
