// Package plugin has what the verbs of kubectl clarion share: how they reach the cluster, and their exit codes. Each verb is a
// package below this one.
package plugin

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/clarionlb/clarion/client/versioned"
)

// Exit codes, for scripts.
const (
	// ExitFailed : something went wrong.
	ExitFailed = 1
	// ExitUsage : the command line is wrong.
	ExitUsage = 2
	// ExitRefused : nothing was done, because somebody would lose something.
	ExitRefused = 3
)

// Refused is the error of a verb that has done nothing, because somebody would lose something.
type Refused struct{ Reason string }

func (r *Refused) Error() string { return r.Reason }

// Refusef makes a Refused.
func Refusef(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// Usage is an error of the command line.
type Usage struct{ Err error }

func (u *Usage) Error() string { return u.Err.Error() }

// Usagef makes a Usage.
func Usagef(format string, args ...any) error { return &Usage{fmt.Errorf(format, args...)} }

// ErrFound is the error of a verb that has said what is wrong: nothing else is to be said.
var ErrFound = errors.New("something is wrong")

// ExitCode is that of a command that ends with this error.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(*Usage)):
		return ExitUsage
	case errors.As(err, new(*Refused)):
		return ExitRefused
	}
	return ExitFailed
}

// Env is what a verb works with.
type Env struct {
	genericiooptions.IOStreams
	// Flags are those that kubectl has too: --kubeconfig, --context and so on.
	Flags *genericclioptions.ConfigFlags
}

// Clients are those of the cluster that the flags name.
type Clients struct {
	Kube    kubernetes.Interface
	Clarion versioned.Interface
	Dynamic dynamic.Interface
	Mapper  meta.RESTMapper
}

// Clients reaches the cluster.
func (e Env) Clients() (*Clients, error) {
	config, err := e.Flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the API server has limits of its own
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	var c Clients
	if c.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.Clarion, err = versioned.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.Mapper, err = e.Flags.ToRESTMapper(); err != nil {
		return nil, err
	}
	return &c, nil
}

// NoArgs is cobra.NoArgs with the exit code of a wrong command line.
func NoArgs(command *cobra.Command, args []string) error {
	if err := cobra.NoArgs(command, args); err != nil {
		return &Usage{err}
	}
	return nil
}
