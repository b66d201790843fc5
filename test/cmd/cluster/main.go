// Command cluster runs test clusters by hand: see package test/cluster for what they are made of.
//
//	cluster up --name demo --nodes 3           until interrupted
//	cluster up --name demo --detach            until `cluster down demo`
//	cluster kubectl demo get nodes
//	cluster exec demo client -- curl -s http://192.168.10.222
//	cluster power-off demo n1; cluster power-on demo n1
//	cluster list
//	cluster down demo; cluster down --all
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// command is one of the things that this program does.
type command struct {
	name, arguments, summary string
	run                      func(ctx context.Context, args []string) error
}

var commands = []command{
	{"up", "[--name NAME] [--nodes N] [--families IPv4,IPv6] [--proxy-mode MODE] [--detach]", "start a cluster", up},
	{"down", "NAME... | --all", "take clusters down, also what a killed run left", down},
	{"list", "", "list clusters", list},
	{"kubectl", "NAME ARGS...", "run kubectl with all rights", kubectl},
	{"exec", "NAME HOST -- COMMAND...", "run a command on a host: control, client, router, farclient, n1 ...", execute},
	{"power-off", "NAME NODE", "take the power from a node", powerOff},
	{"power-on", "NAME NODE", "boot a node", powerOn},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	if len(args) > 0 {
		i := slices.IndexFunc(commands, func(c command) bool { return c.name == args[0] })
		if i >= 0 {
			err := commands[i].run(ctx, args[1:])
			var exit *exec.ExitError
			switch {
			case err == nil || errors.Is(err, flag.ErrHelp):
				return 0
			case errors.As(err, &exit):
				return exit.ExitCode() // it has said why
			}
			fmt.Fprintln(os.Stderr, "cluster:", err)
			return 1
		}
	}
	fmt.Fprintln(os.Stderr, "usage:")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  cluster %s\n        %s\n", strings.TrimSpace(c.name+" "+c.arguments), c.summary)
	}
	return 2
}

func up(ctx context.Context, args []string) error {
	config := cluster.Config{Progress: os.Stdout}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.StringVar(&config.Name, "name", "clarion", "name of the cluster")
	flags.IntVar(&config.Nodes, "nodes", 3, "number of nodes")
	flags.StringVar(&config.ProxyMode, "proxy-mode", "nftables", "mode of kube-proxy: nftables or iptables")
	flags.StringVar(&config.LogDir, "log-dir", "", "folder for logs (default a folder named after the cluster in the temporary folder)")
	flags.BoolVar(&config.Detached, "detach", false, "leave the cluster running")
	flags.Func("families", "IP families of Pods and Services, the primary one first (default IPv4)", func(value string) error {
		for _, family := range strings.Split(value, ",") {
			config.Families = append(config.Families, corev1.IPFamily(family))
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("up: unexpected argument %q", flags.Arg(0))
	}
	c, err := cluster.Start(ctx, config)
	if err != nil {
		return err
	}
	fmt.Printf("logs are in %s\n", c.LogDir())
	fmt.Printf("kubectl: ip netns exec %s %s\n", c.Control.Namespace(), strings.Join(c.KubectlCommand(), " "))
	if config.Detached {
		return nil
	}
	fmt.Println("interrupt to take it down")
	<-ctx.Done()
	return c.Stop()
}

func down(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	all := flags.Bool("all", false, "take all clusters down")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if *all {
		var err error
		if names, err = cluster.Names(); err != nil {
			return err
		}
	} else if len(names) == 0 {
		return errors.New("down: name a cluster, or --all")
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, cluster.Remove(ctx, name))
	}
	return errors.Join(errs...)
}

func list(context.Context, []string) error {
	names, err := cluster.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		c, err := cluster.Open(name)
		if err != nil {
			fmt.Printf("%s\t(%v)\n", name, err)
			continue
		}
		fmt.Printf("%s\t%d nodes\tlogs in %s\n", name, len(c.Nodes()), c.LogDir())
	}
	return nil
}

func kubectl(_ context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("kubectl: name a cluster")
	}
	c, err := cluster.Open(args[0])
	if err != nil {
		return err
	}
	return attach(c.Control, c.KubectlCommand(args[1:]...))
}

func execute(_ context.Context, args []string) error {
	if len(args) > 2 && args[2] == "--" {
		args = slices.Delete(args, 2, 3)
	}
	if len(args) < 3 {
		return errors.New("exec: name a cluster, a host and a command")
	}
	c, err := cluster.Open(args[0])
	if err != nil {
		return err
	}
	host := c.Host(args[1])
	if host == nil {
		return fmt.Errorf("cluster %s has no host %q", args[0], args[1])
	}
	return attach(host, args[2:])
}

// attach runs a command on a host with our terminal. The terminal's signals reach the command,
// which decides when to end.
func attach(host *network.Host, args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := host.StartCommand(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

func powerOff(_ context.Context, args []string) error {
	node, err := node(args)
	if err != nil {
		return err
	}
	return node.PowerOff()
}

func powerOn(ctx context.Context, args []string) error {
	node, err := node(args)
	if err != nil {
		return err
	}
	if err := node.PowerOn(); err != nil {
		return err
	}
	return node.AwaitReady(ctx)
}

func node(args []string) (*cluster.Node, error) {
	if len(args) != 2 {
		return nil, errors.New("name a cluster and a node")
	}
	c, err := cluster.Open(args[0])
	if err != nil {
		return nil, err
	}
	for _, node := range c.Nodes() {
		if node.Name == args[1] {
			return node, nil
		}
	}
	return nil, fmt.Errorf("cluster %s has no node %q", args[0], args[1])
}
