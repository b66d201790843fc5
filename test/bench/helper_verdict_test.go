package bench

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster"
)

// announcerLogs is how far the logs of all announcers have been read.
type announcerLogs map[string]int64

// readLogs returns the announcers' logs, read to their present end.
func readLogs(b *testing.B, c *cluster.Cluster) announcerLogs {
	b.Helper()
	logs := announcerLogs{}
	logs.rest(b, c)
	return logs
}

// rest returns the lines that have been added, by the node and the name of the log.
func (l announcerLogs) rest(b *testing.B, c *cluster.Cluster) map[string][]string {
	b.Helper()
	paths, err := filepath.Glob(filepath.Join(c.LogDir(), "*", "clarion-system_announcer-*.log"))
	if err != nil {
		b.Fatal(err)
	}
	lines := map[string][]string{}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(io.NewSectionReader(file, l[path], 1<<30))
		file.Close()
		if err != nil {
			b.Fatal(err)
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		l[path] += int64(len(whole))
		for line := range strings.Lines(string(whole)) {
			at := filepath.Base(filepath.Dir(path))
			lines[at] = append(lines[at], strings.TrimSpace(line))
		}
	}
	return lines
}

// byHeartbeats says whether heartbeats had a death noticed, and not the gossip.
func byHeartbeats(lines map[string][]string) bool {
	for _, of := range lines {
		for _, line := range of {
			if strings.Contains(line, "heartbeats have stopped") {
				return true
			}
		}
	}
	return false
}
