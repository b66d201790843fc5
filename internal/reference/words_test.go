package reference

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	isMetric     = regexp.MustCompile(`\bclarion_[a-z0-9_]+`)
	isAnnotation = regexp.MustCompile(`\bclarionlb\.io/[a-z]{2,}(?:-[a-z]+)*`)
	isFlag       = regexp.MustCompile(`^--([a-z][a-z0-9-]+)(?:=.*)?$`)
	// isRun is the pattern of tests in a command.
	isRun = regexp.MustCompile(`go test .*-run[ =]'?([^ ']+)`)
)

// foreignFlags are those of other programs that documents name: the kubelet, kube-vip, PureLB, external-dns, the API server, Helm, etcdutl.
var foreignFlags = []string{
	"node-ip", "ignore-exclude-lb", "lb-class", "source", "service-cluster-ip-range", "create-namespace", "set-file", "bump-revision",
}

// otherWords begin with clarionlb.io/ and are no annotations: a class, a finalizer, a label by which MetalLB leaves nodes, and mistakes that
// documents show.
var otherWords = []string{
	"clarionlb.io/clarion", "clarionlb.io/pool-in-use", "clarionlb.io/moved",
	"clarionlb.io/adresses", "clarionlb.io/address", "clarionlb.io/address-pools", "clarionlb.io/clarrion",
}

// referenceOf is a page of the reference.
func referenceOf(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docs/reference", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestDocumentsNameMetricsAnnotationsAndFlagsThatThereAre holds them against the reference, which is made from the code. The
// changelog is left out: it says what there was.
func TestDocumentsNameMetricsAnnotationsAndFlagsThatThereAre(t *testing.T) {
	metrics, annotations, flags := referenceOf(t, "metrics.md"), referenceOf(t, "annotations.md"), referenceOf(t, "flags.md")
	for path, content := range documents(t) {
		if filepath.Base(path) == "CHANGELOG.md" {
			continue
		}
		for _, name := range isMetric.FindAllString(content, -1) {
			short := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
			if !strings.Contains(metrics, "`"+short) {
				t.Errorf("%s names the metric %s, which is not there", path, name)
			}
		}
		for _, name := range isAnnotation.FindAllString(content, -1) {
			if !strings.Contains(annotations, "`"+name+"`") && !slices.Contains(otherWords, name) {
				t.Errorf("%s names %s, which is no annotation", path, name)
			}
		}
		for _, code := range inBackticks.FindAllStringSubmatch(isFenced.ReplaceAllString(content, ""), -1) {
			if flag := isFlag.FindStringSubmatch(code[1]); flag != nil && !strings.Contains(flags, "`--"+flag[1]+"`") && !slices.Contains(foreignFlags, flag[1]) {
				t.Errorf("%s names the flag --%s, which no program of ours has", path, flag[1])
			}
		}
	}
}

// TestCommandsInDocumentsNameFilesAndTestsThatThereAre reads what follows a prompt or stands in text as code.
func TestCommandsInDocumentsNameFilesAndTestsThatThereAre(t *testing.T) {
	symbols, files, runs := symbolsOf(t), 0, 0
	for path, content := range documents(t) {
		for _, command := range Commands(content) {
			for _, word := range strings.Fields(command) {
				if word = strings.TrimSuffix(word, "/"); isPath.MatchString(word) {
					if files++; !exists(root+"/"+word) && !strings.HasPrefix(command, "cd test") {
						t.Errorf("%s has %q, and there is no %s", path, command, word)
					}
				}
			}
			for _, run := range isRun.FindAllStringSubmatch(command, -1) {
				pattern, err := regexp.Compile(run[1])
				if runs++; err != nil || !anyTest(symbols, pattern) && run[1] != "^$" && run[1] != "TestName" {
					t.Errorf("%s has %q, and there is no such test (%v)", path, command, err)
				}
			}
		}
	}
	if files < 20 || runs < 5 {
		t.Errorf("found %d files and %d patterns of tests", files, runs)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func anyTest(symbols map[string]bool, pattern *regexp.Regexp) bool {
	for name := range symbols {
		if isTest.MatchString(name) && pattern.MatchString(name) {
			return true
		}
	}
	return false
}
