package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

const (
	component = "../../manifests/components/prometheus/"
	interval  = time.Minute
)

// object reads a part of an object of the component.
func object(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(component + file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rulesFile writes the rules as Prometheus reads them, and returns where.
func rulesFile(t *testing.T) string {
	t.Helper()
	var rule struct {
		Spec any `json:"spec"`
	}
	object(t, "rules.yaml", &rule)
	text, err := yaml.Marshal(rule.Spec)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// firing returns the alerts that fire after some minutes of what is loaded, each as its name and its summary.
func firing(t *testing.T, load string, minutes int) []string {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+load)
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(engine, storage), AppendableV2: storage, Queryable: storage,
		Context: t.Context(), NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Parser: parser.NewParser(parser.Options{}),
	})
	groups, errs := manager.LoadGroups(interval, labels.EmptyLabels(), "", nil, false, rulesFile(t))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	names := slices.Sorted(maps.Keys(groups))
	var found []string
	for minute := range minutes + 1 {
		for _, name := range names { // recording rules are in the first group
			groups[name].Eval(t.Context(), time.Unix(0, 0).UTC().Add(time.Duration(minute)*interval))
		}
	}
	for _, name := range names {
		for _, rule := range groups[name].AlertingRules() {
			for _, alert := range rule.ActiveAlerts() {
				if alert.State == rules.StateFiring {
					found = append(found, rule.Name()+": "+alert.Annotations.Get("summary"))
				}
			}
		}
	}
	slices.Sort(found)
	return found
}

// healthy is a cluster of two announcers with which nothing is wrong.
const healthy = `
  clarion_conflicting_addresses 0x60
  clarion_services_waiting{reason="PoolExhausted"} 0x60
  clarion_objects_not_ready{kind="Announcer",reason="NodeUnreachable"} 1x60
  clarion_objects_not_ready{instance="standby",kind="IPAddressPool",reason="InvalidAddress"} 0x60
  clarion_pool_addresses{pool="public",family="IPv4",state="assigned"} 8x60
  clarion_pool_addresses{pool="public",family="IPv4",state="available"} 2x60
  clarion_pool_addresses{pool="public",family="IPv4",state="total"} 10x60
  clarion_pool_addresses{pool="public",family="IPv6",state="total"} 0x60
  clarion_announcer_members{instance="n1",state="alive"} 2x60
  clarion_announcer_members{instance="n1",state="expected"} 2x60
  clarion_announcer_members{instance="n2",state="alive"} 2x60
  clarion_announcer_members{instance="n2",state="expected"} 2x60
  clarion_announcer_layer2_addresses{instance="n1"} 4x60
  clarion_announcer_layer2_addresses{instance="n2"} 4x60
  clarion_announcer_layer2_moves_total{instance="n1",direction="gained",reason="IncumbentDown"} 0x30 4x30
  clarion_announcer_pauses_total{instance="n1"} 0+0.1x60
  clarion_announcer_panics_total{instance="n1",component="plan"} 0x60
  clarion_announcer_bgp_session_up{instance="n1",peer="tor",address="10.0.0.1"} 1x60
  clarion_announcer_bgp_session_up{instance="n2",peer="tor",address="10.0.0.1"} 1x60
  clarion_announcer_bgp_sessions_lost_total{instance="n1",peer="tor",address="10.0.0.1"} 1x60
  clarion_announcer_bfd_session_up{instance="n1",peer="tor",address="10.0.0.1"} 1x60
  clarion_announcer_bgp_prefixes{instance="n1",peer="tor",address="10.0.0.1"} 8x60
  clarion_announcer_bgp_prefixes_unsent{instance="n1",peer="tor",address="10.0.0.1",family="IPv4"} 0x60
`

// with is healthy with some series replaced. Those without samples are left out.
func with(series ...string) string {
	lines := strings.Split(strings.TrimSpace(healthy), "\n")
	for _, s := range series {
		name, samples, _ := strings.Cut(s, " ")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), name+" ") })
		switch {
		case i >= 0 && samples == "":
			lines = slices.Delete(lines, i, i+1)
		case i >= 0:
			lines[i] = "  " + s
		default:
			panic(fmt.Sprintf("there is no %s", name))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	const session = `{instance="n1",peer="tor",address="10.0.0.1"}`
	for name, tt := range map[string]struct {
		load string
		want []string
	}{
		"nothing is wrong": {with(), nil},
		"no controller": {
			with("clarion_conflicting_addresses"),
			[]string{"ClarionControllerMissing: No cloud-controller-manager of Clarion is seen."},
		},
		"a Service waits": {
			with(`clarion_services_waiting{reason="PoolExhausted"} 3x60`),
			[]string{"ClarionServicesWaiting: 3 Services do not have the addresses that they ask for: PoolExhausted."},
		},
		"a Service waited for a moment": {with(`clarion_services_waiting{reason="PoolExhausted"} 0x51 3x8`), nil},
		"a mistake in two pools, of which two controllers tell": {
			with(`clarion_objects_not_ready{instance="standby",kind="IPAddressPool",reason="InvalidAddress"} 2x60`) +
				`  clarion_objects_not_ready{instance="leader",kind="IPAddressPool",reason="InvalidAddress"} 2x60` + "\n",
			[]string{"ClarionObjectsNotReady: 2 objects of kind IPAddressPool are not Ready: InvalidAddress."},
		},
		"a full pool": {
			with(`clarion_pool_addresses{pool="public",family="IPv4",state="assigned"} 10x60`),
			[]string{"ClarionPoolAlmostFull: 100% of the IPv4 addresses of pool public are in use."},
		},
		"a conflict": {
			with("clarion_conflicting_addresses 2x60"),
			[]string{"ClarionAddressConflict: Another host answers for 2 addresses of Clarion's pools."},
		},
		"no announcer": {
			with(`clarion_announcer_layer2_addresses{instance="n1"}`, `clarion_announcer_layer2_addresses{instance="n2"}`,
				"clarion_announcer_bgp_prefixes"+session),
			[]string{"ClarionNothingAnnounced: Services have 8 addresses, and no node announces any."},
		},
		"layer 2 alone": {with("clarion_announcer_bgp_prefixes" + session), nil},
		"BGP alone": {with(`clarion_announcer_layer2_addresses{instance="n1"} 0x60`, `clarion_announcer_layer2_addresses{instance="n2"} 0x60`,
			`clarion_announcer_layer2_moves_total{instance="n1",direction="gained",reason="IncumbentDown"}`), nil},
		"a dead node": {
			with(`clarion_announcer_members{instance="n1",state="alive"} 1x60`, `clarion_announcer_members{instance="n2",state="alive"}`,
				`clarion_announcer_members{instance="n2",state="expected"}`),
			[]string{"ClarionAnnouncersMissing: 1 announcers are not in sight of the others."},
		},
		"a node that is not heard": {
			with(`clarion_announcer_members{instance="n2",state="alive"} 1x60`),
			[]string{"ClarionAnnouncersSplit: Some announcers see 1 others less than the rest do."},
		},
		"addresses that move": {
			with(`clarion_announcer_layer2_moves_total{instance="n1",direction="gained",reason="IncumbentDown"} 0+4x60`),
			[]string{"ClarionAddressesMoving: Addresses move again and again."},
		},
		"pauses": {
			with(`clarion_announcer_pauses_total{instance="n1"} 0+1x60`),
			[]string{"ClarionAnnouncerPaused: The announcer on n1 did not run for a moment 15 times in 15 minutes."},
		},
		"a fault of the program": {
			with(`clarion_announcer_panics_total{instance="n1",component="plan"} 2x60`),
			[]string{"ClarionInternalError: Clarion failed on something, for a fault of its own: plan."},
		},
		"a session down": {
			with("clarion_announcer_bgp_session_up"+session+" 0x60", "clarion_announcer_bfd_session_up"+session+" 0x60"),
			[]string{"ClarionBGPSessionDown: n1 has no session with tor (10.0.0.1)."},
		},
		"a router down": {
			with("clarion_announcer_bgp_session_up"+session+" 0x60", `clarion_announcer_bgp_session_up{instance="n2",peer="tor",address="10.0.0.1"} 0x60`),
			[]string{
				"ClarionBGPPeerLost: No node has a session with tor (10.0.0.1).",
				"ClarionBGPSessionDown: n1 has no session with tor (10.0.0.1).",
				"ClarionBGPSessionDown: n2 has no session with tor (10.0.0.1).",
			},
		},
		"a session that flaps": {
			with("clarion_announcer_bgp_sessions_lost_total" + session + " 0+1x60"),
			[]string{"ClarionBGPSessionFlapping: n1 lost its session with tor (10.0.0.1) 15 times in 15 minutes."},
		},
		"no BFD": {
			with("clarion_announcer_bfd_session_up" + session + " 0x60"),
			[]string{"ClarionBFDDown: BFD does not watch the path between n1 and tor (10.0.0.1)."},
		},
		"prefixes without a way": {
			with(`clarion_announcer_bgp_prefixes_unsent{instance="n1",peer="tor",address="10.0.0.1",family="IPv4"} 2x60`),
			[]string{"ClarionPrefixesUnsent: n1 keeps 2 IPv4 prefixes from tor (10.0.0.1)."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := firing(t, tt.load, 55); !slices.Equal(got, tt.want) {
				t.Errorf("firing:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestEveryAlertIsExplained holds the guide against the rules, both ways.
func TestEveryAlertIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^## (Clarion\w+)$`).FindAllStringSubmatch(string(text), -1) {
		explained[heading[1]] = true
	}
	for _, alert := range alerts(t) {
		if !explained[alert.Alert] {
			t.Errorf("docs/guides/alerts.md does not explain %s", alert.Alert)
		}
		delete(explained, alert.Alert)
		runbook, err := url.Parse(alert.Annotations["runbook_url"])
		if err != nil || !strings.HasSuffix(runbook.Path, "/docs/guides/alerts.md") || runbook.Fragment != strings.ToLower(alert.Alert) {
			t.Errorf("%s: the runbook is %s", alert.Alert, alert.Annotations["runbook_url"])
		}
		if alert.Labels["severity"] == "" || alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" {
			t.Errorf("%s lacks its severity, summary or description", alert.Alert)
		}
	}
	if len(explained) > 0 {
		t.Errorf("docs/guides/alerts.md explains %v, which do not exist", slices.Sorted(maps.Keys(explained)))
	}
}

type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

func allRules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Spec struct {
			Groups []struct{ Rules []rule }
		}
	}
	object(t, "rules.yaml", &file)
	for _, group := range file.Spec.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

func alerts(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(allRules(t), func(r rule) bool { return r.Alert == "" })
}

// dashboard is what the tests know of one.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Targets []struct{ Expr string }
	}
}

// TestRulesAndDashboardNameMetricsThatThereAre parses every expression, and holds the names of metrics against the reference.
func TestRulesAndDashboardNameMetricsThatThereAre(t *testing.T) {
	reference, err := os.ReadFile("../../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"process_cpu_seconds_total": true, "process_resident_memory_bytes": true}
	for _, row := range regexp.MustCompile("(?m)^\\| `(clarion_\\w+)` \\| (\\w+) \\|").FindAllStringSubmatch(string(reference), -1) {
		if known[row[1]] = true; row[2] == "histogram" {
			known[row[1]+"_bucket"] = true
		}
	}
	expressions := map[string][]string{}
	for _, r := range allRules(t) {
		expressions["the rule "+r.Record+r.Alert] = []string{r.Expr}
		known[r.Record] = true
	}
	var configMap struct{ Data map[string]string }
	object(t, "dashboard.yaml", &configMap)
	var d dashboard
	if err := json.Unmarshal([]byte(configMap.Data["clarion.json"]), &d); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the ID %d", p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			expressions["the panel "+p.Title] = append(expressions["the panel "+p.Title], target.Expr)
		}
	}
	if len(ids) < 20 {
		t.Errorf("there are %d panels", len(ids))
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h")
	for where, exprs := range expressions {
		for _, text := range exprs {
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(variables.Replace(text))
			if err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
				if selector, is := node.(*parser.VectorSelector); is && !known[selector.Name] {
					t.Errorf("%s names the metric %s, which is not there", where, selector.Name)
				}
				return nil
			})
		}
	}
}
