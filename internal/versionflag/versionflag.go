// Package versionflag answers --version. The flag itself, with its other values, is that of k8s.io/component-base, which would
// call every program Kubernetes.
package versionflag

import (
	"fmt"
	"io"

	"github.com/spf13/pflag"
	"k8s.io/component-base/version"
)

// Print writes the version, if the flags ask for it by --version or --version=true, and returns whether they do.
func Print(to io.Writer, program string, flags *pflag.FlagSet) bool {
	flag := flags.Lookup("version")
	if flag == nil || flag.Value.String() != "true" {
		return false
	}
	v := version.Get()
	fmt.Fprintf(to, "%s of Clarion %s (%s, %s)\n", program, v.GitVersion, v.GoVersion, v.Platform)
	return true
}
