package provider

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	servicecontroller "k8s.io/cloud-provider/controllers/service"
	controllermanager "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/controller"
	"k8s.io/klog/v2"
)

// StartServiceController is the app.ControllerInitFuncConstructor of the standard service
// controller, fed by the provider. The cloud must be one of New.
func StartServiceController(init app.ControllerInitContext, completed *config.CompletedConfig, cloud cloudprovider.Interface) app.InitFunc {
	return func(ctx context.Context, context controllermanager.ControllerContext) (controller.Interface, bool, error) {
		clarion, ok := cloud.(*Cloud)
		if !ok {
			return nil, false, fmt.Errorf("cloud provider %q is not %q", cloud.ProviderName(), ProviderName)
		}
		client := serviceClient{
			Interface:  completed.ClientBuilder.ClientOrDie(init.ClientName),
			events:     completed.ClientBuilder.ClientOrDie(init.ClientName + "-events"),
			conditions: clarion.conditions,
		}
		nodes := quietNodes{completed.SharedInformers.Core().V1().Nodes()}
		services, err := servicecontroller.New(cloud, client, clarion.feed, nodes, completed.ComponentConfig.KubeCloudShared.ClusterName, utilfeature.DefaultFeatureGate)
		if err != nil {
			return nil, false, fmt.Errorf("make the service controller: %w", err)
		}
		ctx = klog.NewContext(ctx, quietLog(klog.FromContext(ctx)))
		go services.Run(ctx, int(completed.ComponentConfig.ServiceController.ConcurrentServiceSyncs), context.ControllerManagerMetrics)
		return nil, true, nil
	}
}

// serviceClient is the client that the service controller gets. Its events have a rate limit of
// their own, so that they do not hold up the patches, and its patches carry the AddressAssigned
// condition.
type serviceClient struct {
	kubernetes.Interface
	events     kubernetes.Interface
	conditions *conditionWriter
}

func (c serviceClient) CoreV1() typedcorev1.CoreV1Interface {
	return serviceCoreV1{c.Interface.CoreV1(), c}
}

type serviceCoreV1 struct {
	typedcorev1.CoreV1Interface
	client serviceClient
}

func (c serviceCoreV1) Events(namespace string) typedcorev1.EventInterface {
	return transitionEvents{clarionEvents{c.client.events.CoreV1().Events(namespace)}}
}

func (c serviceCoreV1) Services(namespace string) typedcorev1.ServiceInterface {
	return serviceWriter{c.CoreV1Interface.Services(namespace), namespace, c.client.conditions}
}

type serviceWriter struct {
	typedcorev1.ServiceInterface
	namespace  string
	conditions *conditionWriter
}

// Patch is called by service/helpers PatchService alone, always for a strategic merge patch of the status.
func (w serviceWriter) Patch(ctx context.Context, name string, _ types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*corev1.Service, error) {
	return w.conditions.relay(ctx, w.ServiceInterface, types.NamespacedName{Namespace: w.namespace, Name: name}, data)
}
