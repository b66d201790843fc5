package chaos

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// waited is how long some process has waited for a processor since the machine was started, as the kernel counts it (PSI); an error if
// it does not count that. A violation of a bound of time on a machine that is short of processors may be one of the machine.
func waited() (time.Duration, error) {
	pressure, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0, err
	}
	return parsePressure(string(pressure))
}

func parsePressure(text string) (time.Duration, error) {
	some, _, _ := strings.Cut(text, "\n")
	_, total, found := strings.Cut(some, "total=")
	microseconds, err := strconv.ParseInt(total, 10, 64)
	if !found || err != nil {
		return 0, fmt.Errorf("no total in %q: %w", some, err)
	}
	return time.Duration(microseconds) * time.Microsecond, nil
}

// shortage is the part of a time in which some process waited for a processor, in words.
func shortage(before time.Duration, since time.Time) string {
	after, err := waited()
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%d%%", min(100, 100*(after-before)/time.Since(since)))
}
