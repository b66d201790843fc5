package loadbalancer

import (
	"net/netip"
	"strconv"
)

// The sentences of pools.

const poolInUse = "the pool is in use"

func badEntry(where string, err error) string {
	return where + ": " + err.Error()
}

func standsFor(prefix netip.Prefix) string {
	return prefix.String() + " stands for " + RangeOf(prefix).String()
}

func remarkIn(where, remark string) string {
	return where + ": " + remark
}

func entriesOverlap(a, b string) string {
	return sentences("spec.addresses: "+strconv.Quote(a)+" and "+strconv.Quote(b)+" overlap", RemarkOn(a), RemarkOn(b))
}

func contestedWith(r Range, other string) string {
	return r.String() + " is left to " + namePool(other) + ", which had it first"
}

func contestedBy(r Range, other string) string {
	return r.String() + " is in " + namePool(other) + " too, which leaves it to this pool"
}

// waitsForServices says why a pool that is to be deleted is still there; for nobody, if no Service has
// an address of it.
func waitsForServices(names []string) string {
	text := "the pool is to be deleted and hands out nothing"
	if len(names) == 0 {
		return text
	}
	return sentences(text, "it waits for Services that have addresses of it: "+enumerate(names, ", "))
}

func namespaceUnknown(field, name string) string {
	return "spec.serviceAllocation." + field + ": there is no namespace " + strconv.Quote(name)
}

func atLimit(namespace string, used, limit int, f family) string {
	return "namespace " + strconv.Quote(namespace) + " has " + count(used, f) + ", and is given " + strconv.Itoa(limit) + " at most"
}

func count(n int, f family) string {
	text := strconv.Itoa(n) + " " + f.String() + " address"
	if n != 1 {
		text += "es"
	}
	return text
}

func badSelector(where string, err error) string {
	return where + ": " + err.Error()
}

func overlapsOwn(addr netip.Addr, what string) string {
	return addr.String() + " is " + what + " and is not handed out"
}

// conflictOn is a sentence about a conflicting address, for Services and for pools.
func conflictOn(addr netip.Addr, what string) string {
	return addr.String() + " is not handed out: " + what
}

func overlapsReserved(prefix netip.Prefix, what string) string {
	return "the pool overlaps " + what + ", " + prefix.String()
}
