package main

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/clarionlb/clarion/test/cluster"
)

// TestAfterAnErrorNothingIsShownThatIsNotDone also stands for an interrupt, which is an error to the step that it interrupts.
func TestAfterAnErrorNothingIsShownThatIsNotDone(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = write
	d := &demo{Cluster: &cluster.Cluster{}, ctx: t.Context(), err: errors.New("interrupted")}
	d.play()
	os.Stdout = stdout
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	shown, err := io.ReadAll(read)
	if err != nil || len(shown) > 0 {
		t.Errorf("%v %s", err, shown)
	}
}
