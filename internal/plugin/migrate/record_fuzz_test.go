package migrate

import (
	"os"
	"path/filepath"
	"testing"
)

// Whatever stands in a record, it is read or refused as a whole; and what is added to one that can be read can be read, too, with all
// that was there before.
func FuzzRecord(f *testing.F) {
	for _, text := range []string{
		"",
		"{}\n",
		"null\n",
		"{\"created\":{\"kind\":\"IPAddressPool\",\"name\":\"lan\",\"uid\":\"1\"}}\n",
		"{\"service\":{\"metadata\":{\"namespace\":\"default\",\"name\":\"a\"}},\"how\":\"Adopt\"}\n{\"settled\":\"default/a\"}\n",
		"{\"service\":{\"metadata\":{\"namespace\":\"default\",\"name\":\"a\"}}}\n{\"rolledBack\":true}\n{\"service\":null}\n",
		"{\"service\":{}}\n{\"settled\":\"/\"}\n{\"cr",
		"\n",
		"nonsense\n",
		"{\"service\":{\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":1}]}}}}\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "record")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := readRecord(path)
		if err != nil {
			return
		}
		left := unsettled(before)
		record, err := openRecord(path)
		if err != nil {
			t.Fatal(err)
		}
		defer record.file.Close()
		for _, e := range left {
			if err := record.add(entry{Settled: e.name()}); err != nil {
				t.Fatal(err)
			}
		}
		after, err := readRecord(path)
		if err != nil || len(after) != len(before)+len(left) {
			t.Fatalf("of %q there are %d entries, and then %d: %v", text, len(before), len(after), err)
		}
		if still := unsettled(after); len(still) > 0 {
			t.Errorf("of %q, %s is not settled", text, still[0].name())
		}
	})
}
