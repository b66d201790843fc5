package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/internal/notify"
)

// KeyWatcher watches the key of the gossip, which the cloud-controller-manager makes.
type KeyWatcher struct {
	secrets cache.SharedIndexInformer
	changed notify.Signal
}

// NewKeyWatcher returns a KeyWatcher that knows no key until it runs.
func NewKeyWatcher(kube kubernetes.Interface) *KeyWatcher {
	// Of all Secrets, the announcer may see this one alone.
	this := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, gossipkey.Secret).String()
	}
	k := &KeyWatcher{
		secrets: coreinformers.NewFilteredSecretInformer(kube, gossipkey.Namespace, 0, nil, this),
		changed: notify.New(),
	}
	informer.Handle(k.secrets, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { k.changed.Notify() },
		UpdateFunc: func(any, any) { k.changed.Notify() },
		// Nothing is told of a Secret that is gone: the last key goes on being used.
	})
	return k
}

// Run watches until the context ends.
func (k *KeyWatcher) Run(ctx context.Context) error {
	k.secrets.RunWithContext(liblog.Informers(ctx))
	return nil
}

// Changed receives when Key may be another one.
func (k *KeyWatcher) Changed() <-chan struct{} { return k.changed }

// Key is the present key; nil if there is no Secret. The error says what is wrong with a key that
// cannot be used.
func (k *KeyWatcher) Key() ([]byte, error) {
	object, _, _ := k.secrets.GetStore().GetByKey(gossipkey.Namespace + "/" + gossipkey.Secret)
	secret, exists := object.(*corev1.Secret)
	if !exists {
		return nil, nil
	}
	key := secret.Data[gossipkey.Field]
	if err := gossipkey.Check(key); err != nil {
		return nil, err
	}
	return key, nil
}
