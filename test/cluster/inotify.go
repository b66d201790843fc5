package cluster

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// The kernel counts the users of inotify on the machine as a whole. A node takes some 20 of them,
// and the default is 128.
const (
	inotifyLimit  = "/proc/sys/fs/inotify/max_user_instances"
	wantedInotify = 1024
)

// raiseInotifyLimit raises the limit of the machine if it is low, and says so.
func raiseInotifyLimit(progress io.Writer) error {
	content, err := os.ReadFile(inotifyLimit)
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || limit >= wantedInotify {
		return err
	}
	fmt.Fprintf(progress, "raising fs.inotify.max_user_instances of this machine from %d to %d, which real nodes need\n", limit, wantedInotify)
	if err := os.WriteFile(inotifyLimit, []byte(strconv.Itoa(wantedInotify)), 0); err != nil {
		return fmt.Errorf("kubelets need fs.inotify.max_user_instances of %d, and it is %d: %w", wantedInotify, limit, err)
	}
	return nil
}
