package migrate

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/migrate"
)

// entry is a line of the record: something that was, or is about to be, changed.
type entry struct {
	// Created is an object that was not there before.
	Created *created `json:"created,omitempty"`
	// Service is one as it was before it was moved.
	Service *corev1.Service `json:"service,omitempty"`
	How     migrate.How     `json:"how,omitempty"`
	// Annotations are the names of those that it gets.
	Annotations []string `json:"annotations,omitempty"`
	// Reclaim is that of its move.
	Reclaim map[string]string `json:"reclaim,omitempty"`
}

type created struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
}

// record is a file to which entries are added. What is in it survives a crash: an entry is written before the change.
type record struct{ file *os.File }

func openRecord(path string) (*record, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	return &record{file}, nil
}

func (r *record) add(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("record a change: %w", err)
	}
	if _, err = r.file.Write(append(line, '\n')); err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("record a change: %w", err)
	}
	return nil
}

// readRecord has the entries of a file in their order.
func readRecord(path string) ([]entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	defer file.Close()
	var entries []entry
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 8<<20) // a Service is at most 1.5 MiB
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("line %d of the record: %w", len(entries)+1, err)
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	return entries, nil
}
