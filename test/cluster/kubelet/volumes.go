package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// volumeRefresh is how often the files of secrets, config maps and tokens are brought up to date.
const volumeRefresh = 20 * time.Second

var errVolumeKind = errors.New("this kind of volume is not supported")

// volumes are the folders that a pod's volumes are made of on the machine.
type volumes struct {
	environment environment
	dir         string
	tokens      map[string]*authenticationv1.TokenRequestStatus
}

func newVolumes(e environment, dir string) *volumes {
	return &volumes{environment: e, dir: dir, tokens: map[string]*authenticationv1.TokenRequestStatus{}}
}

// keep refreshes the volumes until ctx ends.
func (v *volumes) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(volumeRefresh):
		}
		if err := v.write(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Info("Cannot refresh the pod's volumes", "err", err)
		}
	}
}

// write makes every volume's folder and brings its files up to date.
func (v *volumes) write(ctx context.Context) error {
	for _, volume := range v.environment.pod.Spec.Volumes {
		if err := v.writeVolume(ctx, volume); err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
	}
	return nil
}

// path is where a volume is on the machine.
func (v *volumes) path(volume v1.Volume) string {
	if volume.HostPath != nil {
		return volume.HostPath.Path
	}
	return filepath.Join(v.dir, volume.Name)
}

func (v *volumes) writeVolume(ctx context.Context, volume v1.Volume) error {
	dir := v.path(volume)
	switch {
	case volume.EmptyDir != nil:
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		return os.Chmod(dir, 0o777) // whatever the umask is
	case volume.HostPath != nil:
		if kind := first("", (*string)(volume.HostPath.Type)); kind == string(v1.HostPathDirectoryOrCreate) {
			return os.MkdirAll(dir, 0o755)
		}
		return nil
	}
	files, err := v.files(ctx, volume)
	if err != nil {
		return err
	}
	return writeFiles(dir, files)
}

// files returns the content of a volume that is made of API objects, by the path in the volume.
func (v *volumes) files(ctx context.Context, volume v1.Volume) (map[string]file, error) {
	switch {
	case volume.Secret != nil:
		s := volume.Secret
		return v.secretFiles(ctx, s.SecretName, s.Items, s.Optional, mode(s.DefaultMode))
	case volume.ConfigMap != nil:
		c := volume.ConfigMap
		return v.configMapFiles(ctx, c.Name, c.Items, c.Optional, mode(c.DefaultMode))
	case volume.DownwardAPI != nil:
		return v.downwardFiles(volume.DownwardAPI.Items, mode(volume.DownwardAPI.DefaultMode))
	case volume.Projected != nil:
		all := map[string]file{}
		for _, source := range volume.Projected.Sources {
			files, err := v.projectedFiles(ctx, source, mode(volume.Projected.DefaultMode))
			if err != nil {
				return nil, err
			}
			for path, f := range files {
				all[path] = f
			}
		}
		return all, nil
	}
	return nil, errVolumeKind
}

func (v *volumes) projectedFiles(ctx context.Context, source v1.VolumeProjection, mode fs.FileMode) (map[string]file, error) {
	switch {
	case source.Secret != nil:
		return v.secretFiles(ctx, source.Secret.Name, source.Secret.Items, source.Secret.Optional, mode)
	case source.ConfigMap != nil:
		return v.configMapFiles(ctx, source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional, mode)
	case source.DownwardAPI != nil:
		return v.downwardFiles(source.DownwardAPI.Items, mode)
	case source.ServiceAccountToken != nil:
		token, err := v.token(ctx, source.ServiceAccountToken)
		return map[string]file{source.ServiceAccountToken.Path: {[]byte(token), mode}}, err
	}
	return nil, errVolumeKind
}

func (v *volumes) secretFiles(ctx context.Context, name string, items []v1.KeyToPath, optional *bool, mode fs.FileMode) (map[string]file, error) {
	values, err := v.environment.data.secret(ctx, name, optional)
	if err != nil {
		return nil, err
	}
	return selectFiles(values, items, optional, mode)
}

func (v *volumes) configMapFiles(ctx context.Context, name string, items []v1.KeyToPath, optional *bool, mode fs.FileMode) (map[string]file, error) {
	values, err := v.environment.data.configMap(ctx, name, optional)
	if err != nil {
		return nil, err
	}
	return selectFiles(values, items, optional, mode)
}

// selectFiles gives every key as a file of its name, or only the items as the files that they name.
func selectFiles(data map[string][]byte, items []v1.KeyToPath, optional *bool, otherwise fs.FileMode) (map[string]file, error) {
	files := map[string]file{}
	if len(items) == 0 {
		for key, content := range data {
			files[key] = file{content, otherwise}
		}
		return files, nil
	}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok && !first(false, optional) {
			return nil, fmt.Errorf("references non-existent key: %s", item.Key)
		}
		if ok {
			files[item.Path] = file{content, fs.FileMode(first(int32(otherwise), item.Mode))}
		}
	}
	return files, nil
}

func (v *volumes) downwardFiles(items []v1.DownwardAPIVolumeFile, otherwise fs.FileMode) (map[string]file, error) {
	files := map[string]file{}
	for _, item := range items {
		var value string
		var err error
		if item.FieldRef != nil {
			value, err = v.environment.field(item.FieldRef.FieldPath)
		} else {
			value, err = v.resource(item.ResourceFieldRef)
		}
		if err != nil {
			return nil, err
		}
		files[item.Path] = file{[]byte(value), fs.FileMode(first(int32(otherwise), item.Mode))}
	}
	return files, nil
}

func (v *volumes) resource(ref *v1.ResourceFieldSelector) (string, error) {
	containers := v.environment.pod.Spec.Containers
	for i := range containers {
		if containers[i].Name == ref.ContainerName {
			return resourceField(ref, &containers[i])
		}
	}
	return "", fmt.Errorf("no container %q", ref.ContainerName)
}

// token returns a ServiceAccount token that is bound to the pod, and a new one when four fifths of
// its life have passed.
func (v *volumes) token(ctx context.Context, projection *v1.ServiceAccountTokenProjection) (string, error) {
	lifetime := time.Duration(first(3600, projection.ExpirationSeconds)) * time.Second
	key := projection.Audience + " " + projection.Path
	held := v.tokens[key]
	if held != nil && time.Until(held.ExpirationTimestamp.Time) > lifetime/5 {
		return held.Token, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(lifetime.Seconds())),
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: v.environment.pod.Name, UID: v.environment.pod.UID,
		},
	}}
	if projection.Audience != "" {
		request.Spec.Audiences = []string{projection.Audience}
	}
	accounts := v.environment.data.client.CoreV1().ServiceAccounts(v.environment.pod.Namespace)
	answer, err := accounts.CreateToken(ctx, v.environment.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	v.tokens[key] = &answer.Status
	return answer.Status.Token, nil
}

// file is a file of a volume.
type file struct {
	content []byte
	mode    fs.FileMode
}

func mode(given *int32) fs.FileMode { return fs.FileMode(first(0o644, given)) }

// writeFiles makes these the regular files below dir, and removes all others. Each file changes at
// once, so that a reader never sees half of one.
func writeFiles(dir string, files map[string]file) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for path, f := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := replaceFile(path, f); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if _, wanted := files[name]; !wanted {
			return os.Remove(path)
		}
		return nil
	})
}

func replaceFile(path string, f file) error {
	if held, err := os.ReadFile(path); err == nil && string(held) == string(f.content) {
		return nil
	}
	next := path + ".new"
	if err := os.WriteFile(next, f.content, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(next, f.mode); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// mounts returns which parts of the volumes a container sees, and where.
func (v *volumes) mounts(container *v1.Container, variables map[string]string) ([]mount, error) {
	var mounts []mount
	for _, m := range container.VolumeMounts {
		volume, err := v.find(m.Name)
		if err != nil {
			return nil, err
		}
		source := filepath.Join(v.path(volume), m.SubPath, expand(m.SubPathExpr, variables))
		if volume.EmptyDir != nil {
			if err := os.MkdirAll(source, 0o777); err != nil {
				return nil, err
			}
		}
		fromAPI := volume.EmptyDir == nil && volume.HostPath == nil
		mounts = append(mounts, mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly || fromAPI})
	}
	return mounts, nil
}

func (v *volumes) find(name string) (v1.Volume, error) {
	for _, volume := range v.environment.pod.Spec.Volumes {
		if volume.Name == name {
			return volume, nil
		}
	}
	return v1.Volume{}, fmt.Errorf("no volume %q", name)
}
