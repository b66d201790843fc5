package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster/machine"
)

const (
	// restartDelay is between the end of a service and its next start.
	restartDelay = time.Second
	// needInterval is how often it is looked whether a service can be started.
	needInterval = 100 * time.Millisecond
)

// supervisor is the first process of a machine at work: every process that loses its parent becomes
// its child.
type supervisor struct {
	// mu is held while a process is started, so that none is reaped before it is in running.
	mu sync.Mutex
	// running has a channel for each running service, closed when it has ended.
	running map[int]chan struct{}
}

// supervise runs the services for ever, and reaps what they leave.
func supervise(services []machine.Service) error {
	if err := os.Setenv("PATH", machine.SearchPath); err != nil { // by which a command is found
		return err
	}
	s := &supervisor{running: map[int]chan struct{}{}}
	for _, service := range services {
		go s.keep(service)
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil { // there is no child, yet
			time.Sleep(needInterval)
			continue
		}
		s.mu.Lock()
		if ended, ok := s.running[pid]; ok {
			close(ended)
			delete(s.running, pid)
		}
		s.mu.Unlock()
	}
}

// keep starts a service whenever it does not run.
func (s *supervisor) keep(service machine.Service) {
	for {
		for !allExist(service.Needs) {
			time.Sleep(needInterval)
		}
		if ended, err := s.start(service); err != nil {
			fmt.Fprintf(os.Stderr, "boot: start %s: %v\n", service.Name, err)
		} else {
			<-ended
			fmt.Fprintf(os.Stderr, "boot: %s ended\n", service.Name)
		}
		time.Sleep(restartDelay)
	}
}

func (s *supervisor) start(service machine.Service) (<-chan struct{}, error) {
	log, err := os.OpenFile(filepath.Join("/var/log", service.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	path, err := exec.LookPath(service.Command[0])
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	process, err := os.StartProcess(path, service.Command, &os.ProcAttr{
		Env:   []string{"PATH=" + machine.SearchPath, "HOME=/root"},
		Files: []*os.File{nil, log, log},
		Sys:   &unix.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	s.running[process.Pid] = ended
	return ended, process.Release()
}

func allExist(files []string) bool {
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}
