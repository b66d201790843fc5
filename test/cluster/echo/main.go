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

// readyFD is the descriptor that Main closes once all ports are open. Whoever starts the process waits for its end; text
// on it says why the server cannot start.
const readyFD = 3

// Args gives the command line that makes Main serve config; what comes from the environment is not part of it.
func Args(config Config) []string {
	args := []string{"--pod=" + config.Pod, "--namespace=" + config.Namespace, "--node=" + config.Node}
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

// Main is the server as a process: it reads its command line and environment, closes descriptor 3 when it listens, and
// serves until SIGTERM. It returns the exit status.
func Main(args []string) int {
	ready := os.NewFile(readyFD, "ready")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, args, func() { ready.Close() }); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		fmt.Fprint(ready, err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string, ready func()) error {
	config := Config{Message: os.Getenv("ECHO_MESSAGE")}
	if delay := os.Getenv("ECHO_STOP_DELAY"); delay != "" {
		var err error
		if config.StopDelay, err = time.ParseDuration(delay); err != nil {
			return fmt.Errorf("read ECHO_STOP_DELAY: %w", err)
		}
	}
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.StringVar(&config.Pod, "pod", "", "name of the pod, as given in answers")
	flags.StringVar(&config.Namespace, "namespace", "", "namespace of the pod, as given in answers")
	flags.StringVar(&config.Node, "node", "", "node of the pod, as given in answers")
	flags.Var((*portList)(&config.HTTP), "http", "ports that speak HTTP, separated by commas")
	flags.Var((*portList)(&config.TCP), "tcp", "ports that speak raw TCP")
	flags.Var((*portList)(&config.UDP), "udp", "ports that speak UDP")
	if err := flags.Parse(args); err != nil {
		return err
	}
	server, err := Listen(config)
	if err != nil {
		return err
	}
	fmt.Printf("%s serving http=%v tcp=%v udp=%v\n", time.Now().UTC().Format(time.RFC3339Nano), config.HTTP, config.TCP, config.UDP)
	ready()
	err = server.Serve(ctx)
	fmt.Printf("%s stopped\n", time.Now().UTC().Format(time.RFC3339Nano))
	return err
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
