package provider

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"
	controllermanager "k8s.io/controller-manager/app"
)

func TestEventsOfTheCloudNodeControllerAreClarions(t *testing.T) {
	withCluster(t, []runtime.Object{uninitialized("192.0.2.11")}, func(c *cluster) {
		c.start()
		c.elect()
		completed := (&config.Config{ClientBuilder: clients{c.kube}, SharedInformers: c.cloud.Informers}).Complete()
		completed.ComponentConfig.NodeStatusUpdateFrequency = metav1.Duration{Duration: time.Hour}
		completed.ComponentConfig.NodeController.ConcurrentNodeSyncs = 1
		completed.ComponentConfig.NodeController.ConcurrentNodeStatusUpdates = 1
		start := StartNodeController(app.ControllerInitContext{ClientName: "node-controller"}, completed, c.cloud)
		metrics := controllersmetrics.NewControllerManagerMetrics("test-nodes")
		if _, started, err := start(c.ctx, controllermanager.ControllerContext{ControllerManagerMetrics: metrics}); err != nil || !started {
			t.Fatalf("it did not start: %v", err)
		}
		settle()
		list, err := c.kube.CoreV1().Events("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 || list.Items[0].Reason != "Synced" || list.Items[0].Source.Component != "clarion" || list.Items[0].ReportingController != "clarion" {
			t.Errorf("got %+v", list.Items)
		}
	})
}
