package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
)

// metadataAlone asks for the metadata of an object in place of the object (client-go's package metadata does the same).
const metadataAlone = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

// announcerClient is a client of Announcers that does not have sent back what it writes: the watch brings that anyway, and with
// thousands of claims to read it costs more than to write it.
type announcerClient struct {
	clients.AnnouncerInterface
	rest rest.Interface
}

// NewAnnouncerClient returns a client of Announcers whose Patch returns an Announcer without content.
func NewAnnouncerClient(client clients.ClarionV1alpha1Interface) clients.AnnouncerInterface {
	return announcerClient{client.Announcers(), client.RESTClient()}
}

// Patch implements clients.AnnouncerInterface, for the options that are the default.
func (c announcerClient) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, _ metav1.PatchOptions, subresources ...string) (*v1alpha1.Announcer, error) {
	err := c.rest.Patch(kind).Resource("announcers").Name(name).SubResource(subresources...).
		SetHeader("Accept", metadataAlone).Body(patch).Do(ctx).Error()
	return &v1alpha1.Announcer{}, err
}
