// Command release writes the files of a release into a folder, and says which they are.
package main

import (
	"fmt"
	"os"

	"github.com/clarionlb/clarion/test/chart"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: release DIR")
		os.Exit(2)
	}
	paths, err := chart.Release(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, path := range paths {
		fmt.Println(path)
	}
}
