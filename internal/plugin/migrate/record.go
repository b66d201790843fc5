package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

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
	// Settled is a Service, NAMESPACE/NAME, that has been moved to its end since its entry, or put back. One that is not was left in
	// the middle.
	Settled string `json:"settled,omitempty"`
	// RolledBack says that all before it is undone.
	RolledBack bool `json:"rolledBack,omitempty"`
}

type created struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
}

// record is a file to which entries are added. What is in it survives a crash: an entry is written before the change.
type record struct{ file *os.File }

// openRecord opens a file to add to it. A last line without an end, which a crash has left, goes: what it was about was not begun.
func openRecord(path string) (*record, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	text, err := io.ReadAll(file)
	if err == nil {
		err = file.Truncate(int64(bytes.LastIndexByte(text, '\n') + 1))
	}
	if err != nil {
		file.Close()
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

// readRecord has the entries of a file in their order, from the last rollback on. A last line without an end is left out.
func readRecord(path string) ([]entry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	var entries []entry
	for number := 1; ; number++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			return entries, nil
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d of the record: %w", number, err)
		}
		if entries = append(entries, e); e.RolledBack {
			entries = nil
		}
		text = rest
	}
}

// unsettled are the entries of Services that were left in the middle of their move.
func unsettled(entries []entry) []entry {
	var left []entry
	for _, e := range entries {
		switch {
		case e.Service != nil:
			left = append(left, e)
		case e.Settled != "":
			left = slices.DeleteFunc(left, func(begun entry) bool { return begun.name() == e.Settled })
		}
	}
	return left
}

// name is the Service of an entry, as NAMESPACE/NAME.
func (e entry) name() string { return e.Service.Namespace + "/" + e.Service.Name }
