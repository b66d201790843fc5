package plan

// remedies are what helps, in the words of an order.
var remedies = map[Reason]string{
	NoPool:             "add it to an IPAddressPool",
	NoAdvertisement:    "create an L2Advertisement or BGPAdvertisement, or have one select its pool",
	NoEndpoint:         "have its selector select a pod that is ready, or give it EndpointSlices",
	NoAnnouncer:        "see that a pod of the DaemonSet clarion-system/announcer runs there",
	NotAlive:           "see whether the node runs, and its pod of the DaemonSet clarion-system/announcer",
	Excluded:           "remove the label",
	NetworkUnavailable: "see the network plugin of the cluster",
	NotSelected:        "change spec.nodeSelectors of one",
	NoLocalEndpoint:    "have a pod run there, or use externalTrafficPolicy: Cluster",
	NoInterface:        "give it one in a network of the address, or name one in spec.interfaces of the L2Advertisement",
	NotReady:           "see its kubelet",
	KubeProxyDown:      "see kube-proxy there",
	NoPeer:             "change spec.nodeSelectors of the BGPPeer, or spec.peers of the BGPAdvertisement",
	NoPeerOfFamily:     "add it there",
	BeyondPool:         "use a longer aggregationLength",
}

// Remedy is what helps against the Reason, as people are told; "" if there is nothing to do.
func (r Reason) Remedy() string { return remedies[r] }

// Remedy is what helps against what keeps the node from announcing; "" if there is nothing to do.
func (v Layer2Verdict) Remedy() string {
	if v.Asked != "" {
		return "correct spec.interfaces of the L2Advertisement"
	}
	return v.Reason.Remedy()
}
