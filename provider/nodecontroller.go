package provider

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	nodecontroller "k8s.io/cloud-provider/controllers/node"
	controllermanager "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/controller"
)

// StartNodeController is the app.ControllerInitFuncConstructor of the standard cloud-node controller, whose events are under Clarion's
// name as all are.
func StartNodeController(init app.ControllerInitContext, completed *config.CompletedConfig, cloud cloudprovider.Interface) app.InitFunc {
	return func(ctx context.Context, context controllermanager.ControllerContext) (controller.Interface, bool, error) {
		common, settings := completed.ComponentConfig, completed.ComponentConfig.NodeController
		client := nodeClient{completed.ClientBuilder.ClientOrDie(init.ClientName)}
		nodes, err := nodecontroller.NewCloudNodeController(completed.SharedInformers.Core().V1().Nodes(), client, cloud,
			common.NodeStatusUpdateFrequency.Duration, settings.ConcurrentNodeSyncs, settings.ConcurrentNodeStatusUpdates)
		if err != nil {
			return nil, false, fmt.Errorf("make the cloud-node controller: %w", err)
		}
		go nodes.RunWithContext(ctx, context.ControllerManagerMetrics)
		return nil, true, nil
	}
}

// nodeClient is the client that the cloud-node controller gets.
type nodeClient struct{ kubernetes.Interface }

func (c nodeClient) CoreV1() typedcorev1.CoreV1Interface { return nodeCoreV1{c.Interface.CoreV1()} }

type nodeCoreV1 struct{ typedcorev1.CoreV1Interface }

func (c nodeCoreV1) Events(namespace string) typedcorev1.EventInterface {
	return clarionEvents{c.CoreV1Interface.Events(namespace)}
}
