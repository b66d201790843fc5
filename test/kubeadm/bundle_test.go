package kubeadm

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// supportBundle has kubectl clarion make an archive: with real kubelets it has the logs and the metrics of every pod of both programs.
// It has nothing of a Secret.
func (i *installation) supportBundle() {
	root, err := setup.Checkout()
	if err != nil {
		i.t.Fatal(err)
	}
	name := filepath.Join(i.t.TempDir(), "bundle.tar.gz")
	i.run(filepath.Join(root, ".cache", "bin", "kubectl-clarion") + " support-bundle --file=" + name)
	files := i.unpack(name)
	if missing := files["missing"]; missing != "" {
		i.t.Errorf("it lacks:\n%s", missing)
	}
	announcers := 0
	for name, text := range files {
		switch {
		case strings.HasPrefix(name, "logs/clarion-system/announcer-"):
			announcers++
			i.wantIn(name, text, "Taking part")
		case strings.HasPrefix(name, "logs/kube-system/"+install.CCM) && !strings.HasSuffix(name, ".previous.log"):
			i.wantIn(name, text, "Version:")
		case strings.HasPrefix(name, "metrics/clarion-system/announcer-"):
			i.wantIn(name, text, "clarion_announcer_members{")
		case strings.HasPrefix(name, "metrics/kube-system/"+install.CCM):
			i.wantIn(name, text, "clarion_")
		}
	}
	for _, kind := range []string{"logs/kube-system/" + install.CCM, "metrics/clarion-system/announcer-", "metrics/kube-system/" + install.CCM} {
		found := 0
		for name := range files {
			if strings.HasPrefix(name, kind) {
				found++
			}
		}
		if found == 0 {
			i.t.Errorf("it has no %s", kind)
		}
	}
	if want := len(i.Nodes()); announcers < want {
		i.t.Errorf("it has %d logs of announcers, of %d nodes", announcers, want)
	}
	i.wantNoSecret(files)
}

func (i *installation) wantIn(name, text, want string) {
	i.t.Helper()
	if !strings.Contains(text, want) {
		i.t.Errorf("%s does not say %q:\n%.500s", name, want, text)
	}
}

// wantNoSecret looks for the values of all Secrets.
func (i *installation) wantNoSecret(files map[string]string) {
	i.t.Helper()
	secrets, err := i.Kubernetes().CoreV1().Secrets(metav1.NamespaceAll).List(i.ctx, metav1.ListOptions{})
	if err != nil || len(secrets.Items) == 0 {
		i.t.Fatalf("%d Secrets, %v", len(secrets.Items), err)
	}
	for _, secret := range secrets.Items {
		for key, value := range secret.Data {
			if len(value) < 16 { // "true", a name, a date
				continue
			}
			for name, text := range files {
				if strings.Contains(text, string(value)) {
					i.t.Errorf("%s has %s of Secret %s/%s", name, key, secret.Namespace, secret.Name)
				}
			}
		}
	}
}

// unpack has what is in an archive, by name within its folder.
func (i *installation) unpack(name string) map[string]string {
	i.t.Helper()
	files := map[string]string{}
	file, err := os.Open(name)
	if err != nil {
		i.t.Fatal(err)
	}
	defer file.Close()
	compressed, err := gzip.NewReader(file)
	if err != nil {
		i.t.Fatal(err)
	}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			i.t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			i.t.Fatal(err)
		}
		_, inside, _ := strings.Cut(header.Name, "/")
		files[inside] = string(text)
	}
}
