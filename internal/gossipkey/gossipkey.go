// Package gossipkey is what the cloud-controller-manager, which makes the key that encrypts the announcers' gossip, and the
// announcers, which use it, have to agree about.
package gossipkey

import (
	"fmt"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// The Secret with the key: its namespace, name and only field. Deleted, it is made anew with another key, which the announcers
// then change to.
const (
	Namespace = v1alpha1.SystemNamespace
	Secret    = "clarion-gossip"
	Field     = "key"
)

// Size of a key that is made, in bytes: that of AES-256.
const Size = 32

// Check says what is wrong with a key: it must have the size of one of AES-128, AES-192 or AES-256.
func Check(key []byte) error {
	switch len(key) {
	case 16, 24, Size:
		return nil
	}
	return fmt.Errorf("the Secret %s/%s has a %s of %d bytes, not 16, 24 or 32: delete the Secret to have another one made", Namespace, Secret, Field, len(key))
}
