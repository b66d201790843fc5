package kube

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// etcdLimit is how many bytes etcd takes in one request, unless --max-request-bytes says otherwise.
const etcdLimit = 3 << 19

func TestWhatANodeRecordsOfTenThousandAddressesFitsInAnObject(t *testing.T) {
	for family, pattern := range map[string]string{"IPv4": "192.168.%d.%d", "IPv6": "2001:db8:1234:5678:9abc:def0:1%03x:1%03x"} {
		var status v1alpha1.AnnouncerStatus
		for i := range 10_000 {
			status.Layer2.Addresses = append(status.Layer2.Addresses, v1alpha1.Layer2Address{
				IP:         fmt.Sprintf(pattern, 100+i/100, 100+i%100),
				Interfaces: []string{"enp129s0f0np0"},
				Epoch:      1000,
				Since:      metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
			})
		}
		text, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d bytes for 10,000 addresses, so that %d fit", family, len(text), etcdLimit*10_000/len(text))
		if len(text) > etcdLimit*9/10 {
			t.Errorf("10,000 %s addresses take %d bytes", family, len(text))
		}
	}
}
