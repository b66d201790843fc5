// Command site makes a site of the documents: "make docs" runs it.
package main

import (
	"fmt"
	"os"

	"github.com/clarionlb/clarion/test/site"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: site REPOSITORY FOLDER")
		os.Exit(2)
	}
	if err := site.Build(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(os.Args[2] + "/index.html")
}
