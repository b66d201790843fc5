package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/claims"
)

// ClaimSlices are those that a StatusWriter goes by: a Watcher has them.
type ClaimSlices interface {
	// ClaimSlices returns the ClaimSlices of an Announcer.
	ClaimSlices(announcer string) []*v1alpha1.ClaimSlice
	// AllReadClaimSlices says whether every announcer does. An older one goes by Announcers alone.
	AllReadClaimSlices() bool
}

// claimSlices is the part of a StatusWriter that records changes of claims in ClaimSlices. What it goes by is what the cache shows, and
// the cache may not show yet what was written last. Then the changes are more than they would be, and are written once more.
type claimSlices struct {
	client  clients.ClaimSliceInterface
	objects ClaimSlices
	// revision is that of the list which was written last, and number that of the last slice since.
	revision int64
	number   int32
	// foldAt is when the list is to be written because slices have said for long what is not in it; zero: never.
	foldAt time.Time
}

const (
	// fewClaims is how many claims are always listed: a slice would be no smaller.
	fewClaims = v1alpha1.MaxClaimsPerSlice
	// foldShare is which part of the claims may be in slices, by its reciprocal. So a list of many claims is written after many changes, and costs
	// each of them a few claims.
	foldShare = 4
	// foldPause is for how long each of the claims has changes wait for the list, which everybody reads: whatever their number, lists cost
	// no more than one claim in this time.
	foldPause = time.Second
)

// UseClaimSlices has the writer record changes of claims in ClaimSlices, if there are many claims. It is to be called before Run.
func (w *StatusWriter) UseClaimSlices(client clients.ClaimSliceInterface, objects ClaimSlices) {
	w.claimSlices.client, w.claimSlices.objects = client, objects
}

// recordedClaims is what the API has of an announcer's claims.
type recordedClaims struct {
	claims []v1alpha1.Layer2Address
	// all are the slices of the announcer, and since those with what is not in the list.
	all, since []*v1alpha1.ClaimSlice
}

func (c *claimSlices) recorded(current *v1alpha1.Announcer) (r recordedClaims) {
	if current == nil {
		return r
	}
	if c.client != nil {
		r.all = c.objects.ClaimSlices(current.Name)
	}
	r.claims, r.since = claims.Of(current, r.all), claims.Since(current, r.all)
	return r
}

// inSlices says whether changes of claims may be in slices: they are many, everybody reads slices, nothing else is to be written, and it is
// known what the changes are changes of.
func (c *claimSlices) inSlices(current *v1alpha1.Announcer, status *v1alpha1.AnnouncerStatus, recorded recordedClaims) bool {
	listed := current.Status
	if c.client == nil || len(status.Layer2.Addresses) <= fewClaims || listed.Layer2.Revision == 0 || listed.Layer2.Revision != c.revision ||
		!c.foldAt.IsZero() && !time.Now().Before(c.foldAt) || !c.objects.AllReadClaimSlices() {
		return false
	}
	if listed.Summary != nil { // it is as old as the list
		summary := *listed.Summary
		summary.Addresses = status.Summary.Addresses
		listed.Summary = &summary
	}
	return equalRest(listed, *status) && (len(recorded.since) == 0 || recorded.since[0].Revision == c.revision)
}

// writeSlice records the changes of claims in one slice, if they fit. It returns false if they are to be listed.
func (w *StatusWriter) writeSlice(ctx context.Context, current *v1alpha1.Announcer, wanted []v1alpha1.Layer2Address, recorded recordedClaims) (wrote, done bool, err error) {
	c := &w.claimSlices
	changed, released := claims.Changes(recorded.claims, wanted)
	if len(recorded.since) > 0 {
		c.foldLater(len(wanted))
	}
	if len(changed)+len(released) == 0 {
		return false, len(recorded.since) > 0 || equalSummary(current.Status, wanted), nil
	}
	number := c.number
	var last *v1alpha1.ClaimSlice
	if n := len(recorded.since); n > 0 && recorded.since[n-1].Number >= number {
		last = recorded.since[n-1]
		number = last.Number
	}
	slice := merge(last, changed, released)
	if size(slice) > v1alpha1.MaxClaimsPerSlice {
		number++
		slice = merge(nil, changed, released)
	}
	if size(slice) > v1alpha1.MaxClaimsPerSlice || int(number)*v1alpha1.MaxClaimsPerSlice >= max(len(wanted)/foldShare, fewClaims) {
		return false, false, nil
	}
	slice.Announcer, slice.Revision, slice.Number = w.node, c.revision, number
	c.number = number // also if it seems to fail: what has this number goes before lower ones
	if err := c.write(ctx, current, slice); err != nil {
		return true, true, err
	}
	c.foldLater(len(wanted))
	return true, true, nil
}

// foldLater has so many claims listed in a while, unless that is to be already.
func (c *claimSlices) foldLater(claims int) {
	if c.foldAt.IsZero() {
		c.foldAt = time.Now().Add(time.Duration(claims) * foldPause)
	}
}

// refused says whether a ClaimSlice cannot be written, as when the manifests of an older release are applied, or somebody else has put one in
// its place.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err)
}

// merge returns a slice with more changes than another one, which may be nil.
func merge(before *v1alpha1.ClaimSlice, changed []v1alpha1.Layer2Address, released []string) *v1alpha1.ClaimSlice {
	slice := &v1alpha1.ClaimSlice{}
	if before != nil {
		slice.Addresses, slice.Released = slices.Clone(before.Addresses), slices.Clone(before.Released)
	}
	drop := func(ip string) {
		slice.Addresses = slices.DeleteFunc(slice.Addresses, func(c v1alpha1.Layer2Address) bool { return c.IP == ip })
		slice.Released = slices.DeleteFunc(slice.Released, func(r string) bool { return r == ip })
	}
	for _, c := range changed {
		drop(c.IP)
		slice.Addresses = append(slice.Addresses, c)
	}
	for _, ip := range released {
		drop(ip)
		slice.Released = append(slice.Released, ip)
	}
	return slice
}

func size(s *v1alpha1.ClaimSlice) int { return len(s.Addresses) + len(s.Released) }

// equalSummary says whether a status counts these claims.
func equalSummary(status v1alpha1.AnnouncerStatus, wanted []v1alpha1.Layer2Address) bool {
	now := SummaryOf(&v1alpha1.AnnouncerStatus{Layer2: v1alpha1.Layer2Status{Addresses: wanted}})
	return status.Summary != nil && status.Summary.Addresses == now.Addresses
}

// write writes a slice in place of the one of its number, or creates it.
func (c *claimSlices) write(ctx context.Context, owner *v1alpha1.Announcer, slice *v1alpha1.ClaimSlice) error {
	name := sliceName(owner, slice.Number)
	patch := []map[string]any{
		// What somebody else has put there is left alone, and all is listed.
		{"op": "test", "path": "/announcer", "value": slice.Announcer},
		{"op": "test", "path": "/number", "value": slice.Number},
		{"op": "test", "path": "/metadata/ownerReferences/0/uid", "value": owner.UID},
		{"op": "add", "path": "/revision", "value": slice.Revision},
		{"op": "add", "path": "/addresses", "value": append([]v1alpha1.Layer2Address{}, slice.Addresses...)},
		{"op": "add", "path": "/released", "value": append([]string{}, slice.Released...)},
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode a ClaimSlice: %w", err)
	}
	_, err = c.client.Patch(ctx, name, types.JSONPatchType, text, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		slice.ObjectMeta = metav1.ObjectMeta{
			Name:   name,
			Labels: map[string]string{v1alpha1.LabelAnnouncer: owner.Name},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Announcer", Name: owner.Name, UID: owner.UID,
			}},
		}
		_, err = c.client.Create(ctx, slice, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write ClaimSlice %s: %w", name, err)
	}
	return nil
}

// sliceName is the name of a slice of an Announcer. One that takes the place of another Announcer has others.
func sliceName(owner *v1alpha1.Announcer, number int32) string {
	uid, _, _ := strings.Cut(string(owner.UID), "-")
	return fmt.Sprintf("%s-%s-%d", strings.TrimRight(owner.Name[:min(len(owner.Name), 200)], ".-"), uid, number)
}

// nextRevision is that of a list which is written now: higher than any before, also if the clock was set back.
func (c *claimSlices) nextRevision(current *v1alpha1.Announcer, recorded recordedClaims) int64 {
	last := c.revision
	if current != nil {
		last = max(last, current.Status.Layer2.Revision)
	}
	for _, s := range recorded.all {
		last = max(last, s.Revision)
	}
	return max(last+1, time.Now().UnixMicro())
}

// listed takes note that all claims are in a list.
func (c *claimSlices) listed(revision int64) {
	c.revision, c.number, c.foldAt = revision, 0, time.Time{}
}

// foldTimer receives when the list is to be written.
func (c *claimSlices) foldTimer() <-chan time.Time {
	if c.foldAt.IsZero() {
		return nil
	}
	return time.After(time.Until(c.foldAt))
}

// saysReads says whether an Announcer says that its announcer reads slices, if it does.
func (c *claimSlices) saysReads(current *v1alpha1.Announcer) bool {
	return c.client == nil || current.Status.Layer2.Revision > 0
}
