package echo

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Args gives the command line that makes Main serve config; what comes from the environment is not
// part of it. With a descriptor of a pipe, Main closes that once all ports are open, or writes to
// it why the server cannot start.
func Args(config Config, readyFD int) []string {
	args := []string{
		"--pod=" + config.Pod, "--namespace=" + config.Namespace, "--node=" + config.Node, fmt.Sprintf("--ready-fd=%d", readyFD),
	}
	for _, served := range []struct {
		flag  string
		ports portList
	}{{"http", config.HTTP}, {"tcp", config.TCP}, {"udp", config.UDP}} {
		if len(served.ports) > 0 {
			args = append(args, "--"+served.flag+"="+served.ports.String())
		}
	}
	return args
}

// Main is the server as a process: it reads its command line and environment and serves until
// SIGTERM. It returns the exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	config, ready, err := parse(args)
	if err == nil {
		err = run(ctx, config, ready)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		return 1
	}
	return 0
}

// parse reads the command line and the environment. The file it gives is nil where nobody wants to
// know of readiness.
func parse(args []string) (config Config, ready *os.File, err error) {
	readyFD := -1
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.StringVar(&config.Pod, "pod", "", "name of the pod, as given in answers")
	flags.StringVar(&config.Namespace, "namespace", "", "namespace of the pod, as given in answers")
	flags.StringVar(&config.Node, "node", "", "node of the pod, as given in answers")
	flags.IntVar(&readyFD, "ready-fd", readyFD, "descriptor to close once all ports are open")
	flags.Var((*portList)(&config.HTTP), "http", "ports that speak HTTP, separated by commas")
	flags.Var((*portList)(&config.TCP), "tcp", "ports that speak raw TCP")
	flags.Var((*portList)(&config.UDP), "udp", "ports that speak UDP")
	if err := flags.Parse(args); err != nil {
		return Config{}, nil, err
	}
	config.Message = os.Getenv("ECHO_MESSAGE")
	if delay := os.Getenv("ECHO_STOP_DELAY"); delay != "" {
		if config.StopDelay, err = time.ParseDuration(delay); err != nil {
			return Config{}, nil, fmt.Errorf("read ECHO_STOP_DELAY: %w", err)
		}
	}
	if readyFD >= 0 {
		ready = os.NewFile(uintptr(readyFD), "ready")
	}
	return config, ready, nil
}

func run(ctx context.Context, config Config, ready *os.File) error {
	server, err := Listen(config)
	if err != nil {
		if ready != nil {
			fmt.Fprint(ready, err)
		}
		return err
	}
	logf("serving http=%v tcp=%v udp=%v", config.HTTP, config.TCP, config.UDP)
	if ready != nil {
		ready.Close()
	}
	err = server.Serve(ctx)
	logf("stopped")
	return err
}

func logf(format string, args ...any) {
	fmt.Printf("%s %s\n", time.Now().UTC().Format(time.RFC3339Nano), fmt.Sprintf(format, args...))
}

type portList []uint16

func (p *portList) String() string {
	var text []string
	for _, port := range *p {
		text = append(text, strconv.Itoa(int(port)))
	}
	return strings.Join(text, ",")
}

func (p *portList) Set(value string) error {
	for _, text := range strings.Split(value, ",") {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return err
		}
		*p = append(*p, uint16(port))
	}
	return nil
}
