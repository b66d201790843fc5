package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// options is the command line.
type options struct {
	Kubeconfig string
	NodeName   string
	// BootID is the boot of the node; "" is that of the machine.
	BootID string
	// NodeIPs and PodCIDRs have one entry per address family, at most two.
	NodeIPs  []netip.Addr
	PodCIDRs []netip.Prefix
	// Images maps an image repository to the folder with its files.
	Images      map[string]string
	LogDir      string
	NetnsPrefix string
}

var netnsName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func parseOptions(args []string) (options, error) {
	o := options{Images: map[string]string{}}
	flags := flag.NewFlagSet("kubelet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "file with the API server's address and the node's client certificate")
	flags.StringVar(&o.NodeName, "node-name", "", "name of the Node")
	flags.StringVar(&o.BootID, "boot-id", "", "identifies the boot of the node; that of the machine if empty")
	flags.Func("node-ip", "addresses of the node, one per family, separated by a comma", func(value string) (err error) {
		o.NodeIPs, err = parseFamilies(value, netip.ParseAddr, func(a netip.Addr) bool { return a.Is4() })
		return err
	})
	flags.Func("pod-cidr", "prefixes that the node's pods get their addresses from, one per family", func(value string) (err error) {
		o.PodCIDRs, err = parseFamilies(value, netip.ParsePrefix, func(p netip.Prefix) bool { return p.Addr().Is4() })
		return err
	})
	flags.Func("image", "REPOSITORY=DIR: containers of that image run for real, with the files in DIR (repeatable)", func(value string) error {
		name, dir, ok := strings.Cut(value, "=")
		if !ok {
			return errors.New("want REPOSITORY=DIR")
		}
		dir, err := filepath.Abs(dir)
		o.Images[name] = dir
		return err
	})
	flags.StringVar(&o.LogDir, "log-dir", "", "folder for the output of containers")
	flags.StringVar(&o.NetnsPrefix, "netns-prefix", "", "what the names of the pods' network namespaces begin with")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Println("kubelet stands for the kubelet on a node of a test cluster. Run it inside the node's network namespace.")
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
	}
	if err != nil {
		return options{}, err
	}
	switch {
	case flags.NArg() > 0:
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.Kubeconfig == "" || o.NodeName == "" || o.LogDir == "":
		return options{}, errors.New("--kubeconfig, --node-name and --log-dir are needed")
	case len(o.NodeIPs) == 0 || len(o.PodCIDRs) == 0:
		return options{}, errors.New("--node-ip and --pod-cidr are needed")
	case !netnsName.MatchString(o.NetnsPrefix):
		return options{}, fmt.Errorf("--netns-prefix %q cannot begin a file name", o.NetnsPrefix)
	}
	return o, nil
}

// parseFamilies reads one value or two of different families.
func parseFamilies[T any](text string, parse func(string) (T, error), is4 func(T) bool) ([]T, error) {
	var values []T
	for _, field := range strings.Split(text, ",") {
		value, err := parse(field)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	if len(values) > 2 || len(values) == 2 && is4(values[0]) == is4(values[1]) {
		return nil, errors.New("want one, or one IPv4 and one IPv6")
	}
	return values, nil
}

// imageDir gives the folder with the files of a container's image, and whether the container runs
// for real at all.
func (o options) imageDir(container *v1.Container) (string, bool) {
	dir, ok := o.Images[imageRepository(container.Image)]
	return dir, ok
}

// imageRepository is an image reference without its tag and digest.
func imageRepository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image
}
