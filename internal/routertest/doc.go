// Package routertest runs BGP routers on hosts of tests, and reads what they show of sessions and
// routes. There is one implementation of each kind: FRR, BIRD, OpenBGPD and ExaBGP, as Debian
// packages them. Tests of one kind configure it in its own words; those of all kinds write a
// [Config] and use what is common to them, a [Router].
package routertest
