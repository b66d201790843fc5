package e2e

// metalLB is written for MetalLB, with all fields that mean the same here. It is for no node.
const metalLB = `
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: carried, namespace: metallb-system}
spec:
  myASN: 64500
  peerASN: 64501
  peerAddress: 10.0.0.1
  peerPort: 1179
  sourceAddress: 10.0.0.2
  holdTime: 90s
  keepaliveTime: 30s
  connectTime: 10s
  routerID: 10.10.10.10
  nodeSelectors: [{matchLabels: {rack: a}}]
  passwordSecret: {name: tor}
  ebgpMultiHop: true
  enableGracefulRestart: true
  bfdProfile: carried
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: carried, namespace: metallb-system}
spec:
  receiveInterval: 300
  transmitInterval: 300
  detectMultiplier: 3
  echoInterval: 50
  echoMode: false
  passiveMode: false
  minimumTtl: 254
---
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: unnumbered, namespace: metallb-system}
spec:
  myASN: 64500
  dynamicASN: external
  interface: eth0
  nodeSelectors: [{matchLabels: {rack: a}}]
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: carried, namespace: metallb-system}
spec:
  ipAddressPools: [carried]
  ipAddressPoolSelectors: [{matchLabels: {zone: a}}]
  nodeSelectors: [{matchLabels: {rack: a}}]
  aggregationLength: 32
  aggregationLengthV6: 128
  localPref: 100
  communities: [vpn-only, "65535:65282", "large:64500:1:2"]
  peers: [carried]
  serviceSelectors: [{matchLabels: {app: web}}]
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: carried, namespace: metallb-system}
spec:
  communities: [{name: vpn-only, value: "1234:1"}]
`
