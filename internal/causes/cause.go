package causes

// Symptom is what the user sees first.
type Symptom string

// The symptoms.
const (
	// Pending is a Service whose EXTERNAL-IP is <pending>.
	Pending Symptom = "pending"
	// NoAnswer is an address that does not answer.
	NoAnswer Symptom = "no answer"
	// WrongAnswer is an address that answers, but not as it should: sometimes, from somebody else, or
	// by one of two ways alone.
	WrongAnswer Symptom = "wrong answer"
	// NotAsWritten is an object that is not in force as it is written.
	NotAsWritten Symptom = "not as written"
)

// Cause is one thing that goes wrong.
type Cause struct {
	// Name is what is wrong, as the documentation has it.
	Name    string
	Symptom Symptom
	// Routed has the cluster announce by BGP instead of on layer 2.
	Routed bool
	// Break makes it go wrong in a cluster in which all is well.
	Break func(c *Cluster)
	// Then is what happens after the components have run for a while; nil is nothing.
	Then func(w *World)
	// Shown is where it is shown. The first one is where users look first.
	Shown []Shown
	// Asked is what `kubectl clarion why` says of objects besides, of which kubectl shows nothing.
	Asked []Shown
	// Apart is why `kubectl clarion why` of a Service says nothing of it; "" if it does.
	Apart string
	// Fix is what to do, as the documentation has it.
	Fix string
}

// Shown is what is shown of an object.
type Shown struct {
	// Object is its kind and its name, as kubectl takes them: "service/web".
	Object string
	// Words are to be found in one line, in this order: first those that name the cause, then those
	// that name the fix.
	Words []string
	// Column says that it is what kubectl alone has: a column of `kubectl get`.
	Column bool
}

// on is what an object shows.
func on(object string, words ...string) Shown { return Shown{Object: object, Words: words} }

// inColumn is what a column of an object has.
func inColumn(object, name, value string) Shown {
	return Shown{Object: object, Words: []string{name + ": " + value}, Column: true}
}

// All are the causes, in the order of the documentation.
func All() (all []Cause) {
	for _, list := range [][]Cause{allocation, programs, layer2, routed, configuration} {
		all = append(all, list...)
	}
	return all
}
