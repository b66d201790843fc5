package provider

import (
	"context"
	"crypto/rand"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/internal/notify"
)

// gossipKeyController sees to it that there is a gossip key. It makes one where there is none and
// never changes one: deleting the Secret is how an operator asks for another key.
type gossipKeyController struct {
	kube    kubernetes.Interface
	secrets cache.SharedIndexInformer
	changed notify.Signal
	retry   wait.Backoff
}

func newGossipKeyController(kube kubernetes.Interface) *gossipKeyController {
	// Of all Secrets, the CCM may see this one alone.
	this := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, gossipkey.Secret).String()
	}
	return &gossipKeyController{
		kube:    kube,
		secrets: coreinformers.NewFilteredSecretInformer(kube, gossipkey.Namespace, 0, nil, this),
		changed: notify.New(),
		retry:   wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.1, Steps: 6, Cap: time.Minute},
	}
}

// run watches over the key until the context ends.
func (c *gossipKeyController) run(ctx context.Context) {
	registration := informer.Handle(c.secrets, informer.OnAny(c.changed.Notify))
	go c.secrets.RunWithContext(liblog.Informers(ctx))
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return
	}
	retry := c.retry
	for {
		var again <-chan time.Time
		if err := guard.Try("gossip", "", func() error { return c.ensure(ctx) }); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot make the key of the announcers' gossip", "secret", klog.KRef(gossipkey.Namespace, gossipkey.Secret))
			again = time.After(retry.Step())
		} else {
			retry = c.retry
		}
		select {
		case <-ctx.Done():
			return
		case <-c.changed:
		case <-again:
		}
	}
}

// ensure makes the Secret if there is none.
func (c *gossipKeyController) ensure(ctx context.Context) error {
	object, exists, err := c.secrets.GetStore().GetByKey(gossipkey.Namespace + "/" + gossipkey.Secret)
	if err != nil {
		return err
	}
	if exists {
		return gossipkey.Check(object.(*corev1.Secret).Data[gossipkey.Field])
	}
	key := make([]byte, gossipkey.Size)
	rand.Read(key) // it does not fail
	_, err = c.kube.CoreV1().Secrets(gossipkey.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: gossipkey.Secret,
			Labels: map[string]string{
				"app.kubernetes.io/name":       "clarion",
				"app.kubernetes.io/managed-by": "clarion-cloud-controller-manager",
			},
			Annotations: map[string]string{
				"kubernetes.io/description": "Encrypts what Clarion's announcers tell each other. When it is deleted, the cloud-controller-manager makes another one.",
			},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{gossipkey.Field: key},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err): // the watch is about to tell
		return nil
	case err != nil:
		return err
	}
	klog.FromContext(ctx).Info("Made a key for the announcers' gossip", "secret", klog.KRef(gossipkey.Namespace, gossipkey.Secret))
	return nil
}
