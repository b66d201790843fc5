package e2e

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/clarionlb/clarion/test/chart"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// helmName is by what name this program is Helm's command.
const helmName = "helm"

// Helm owns what it applies by this name, also where tests call its library.
func init() { kube.ManagedFieldsManager = helmName }

// runHelm is the main function of Helm (cmd/helm/helm.go of helm.sh/helm/v4).
func runHelm() {
	command, err := helmcmd.NewRootCmd(os.Stdout, os.Args[1:], helmcmd.SetupLogging)
	if err == nil {
		err = command.Execute()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// documentedHelm runs the command that installs the chart of a checkout, by docs/install.md, with further arguments.
func (d *deployment) documentedHelm(arguments ...string) {
	d.t.Helper()
	line, _, _ := strings.Cut(documentedCommands(d.t, "../../docs/install.md", "## Helm")[0][0], "#")
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	folder := d.t.TempDir()
	if err := os.Symlink(self, filepath.Join(folder, helmName)); err != nil {
		d.t.Fatal(err)
	}
	d.shell("PATH=" + folder + ":$PATH; " + strings.TrimSpace(line) + " " + strings.Join(arguments, " "))
}

// documentedValues is a file with values of the chart: the first block of YAML in a document that has a text, word by word.
func (d *deployment) documentedValues(path, with string) string {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(documentedYAML(d.t, path, with)), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// release is one of Helm, of the chart in this checkout.
type release struct {
	*deployment
	name   string
	config *action.Configuration
}

// helm returns a release that is not installed yet.
func (d *deployment) helm(name string) *release {
	d.t.Helper()
	getter := genericclioptions.NewConfigFlags(false).WithWrapConfigFn(func(*rest.Config) *rest.Config { return d.RESTConfig() })
	kubeconfig, cache := d.Kubeconfig(), d.t.TempDir()
	getter.KubeConfig, getter.CacheDir = &kubeconfig, &cache
	config := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := config.Init(getter, metav1.NamespaceSystem, "secret"); err != nil {
		d.t.Fatal(err)
	}
	return &release{d, name, config}
}

// in returns the release for use in a subtest.
func (r *release) in(d *deployment) *release { return &release{d, r.name, r.config} }

func (r *release) chart() *chartv2.Chart {
	r.t.Helper()
	c, err := chart.Load()
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *release) tryInstall(install *action.Install, chart *chartv2.Chart, values map[string]any) error {
	r.t.Helper()
	install.ReleaseName, install.Namespace = r.name, metav1.NamespaceSystem
	install.WaitStrategy, install.Timeout = kube.HookOnlyStrategy, patience
	_, err := install.RunWithContext(r.ctx, chart, values)
	return err
}

// installLast installs the chart of the last release with its image, or that of this checkout where the last release is not in its history.
func (r *release) installLast(last setup.Release) {
	r.t.Helper()
	chart, values := r.chart(), map[string]any(nil)
	if last.Source != "" {
		chart, values = r.chartOf(last), map[string]any{"image": map[string]any{"repository": releaseImage}}
	}
	if err := r.tryInstall(action.NewInstall(r.config), chart, values); err != nil {
		r.t.Fatal(err)
	}
}

func (r *release) chartOf(other setup.Release) *chartv2.Chart {
	r.t.Helper()
	c, err := chart.LoadOf(other.Source)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// upgrade changes the release to a version of the programs, with values.
func (r *release) upgrade(version string, values map[string]any) {
	r.t.Helper()
	upgrade := action.NewUpgrade(r.config)
	upgrade.Namespace = metav1.NamespaceSystem
	upgrade.WaitStrategy, upgrade.Timeout = kube.HookOnlyStrategy, patience
	next := r.chart()
	next.Metadata.AppVersion = version
	if _, err := upgrade.RunWithContext(r.ctx, r.name, next, values); err != nil {
		r.t.Fatal(err)
	}
}

// uninstall returns when the objects of the release are gone, but for those that stay.
func (r *release) uninstall() {
	r.t.Helper()
	defer r.RightsGo()()
	uninstall := action.NewUninstall(r.config)
	// The status watcher of Helm 4 may end as soon as it knows of one object that is gone: https://github.com/helm/helm/pull/32230.
	uninstall.WaitStrategy, uninstall.Timeout = kube.LegacyStrategy, patience
	uninstall.DeletionPropagation = "foreground"
	if _, err := uninstall.Run(r.name); err != nil {
		r.t.Fatal(err)
	}
}
