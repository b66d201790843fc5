package dashboard

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// newTestServer serves a page that shows the fixture, and is asked with ask.
func newTestServer(t *testing.T) *Dashboard {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	d := New("test", listener)
	if err := d.Show(snapshot.Of(fixture.New(time.Now())...).State(), ""); err != nil {
		t.Fatal(err)
	}
	return d
}

// ask asks with the cookie of the page, changed as with says.
func ask(d *Dashboard, method, target string, with func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, "http://"+d.server.host+target, nil)
	r.AddCookie(&http.Cookie{Name: d.server.cookie(), Value: d.server.token})
	if with != nil {
		with(r)
	}
	w := httptest.NewRecorder()
	d.server.handler().ServeHTTP(w, r)
	return w.Result()
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestWhoMayReadThePage(t *testing.T) {
	d := newTestServer(t)
	nobody := func(r *http.Request) { r.Header.Del("Cookie") }
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, test := range []struct {
		what, method, target string
		with                 func(*http.Request)
		code                 int
	}{
		{"the page", "GET", "/", nil, 200},
		{"a module of it", "GET", "/main.js", nil, 200},
		{"a Service", "GET", "/api/path?service=games/match-5", nil, 200},
		{"a Service that is not there", "GET", "/api/path?service=games/none", nil, 404},
		{"no Service", "GET", "/api/path", nil, 400},
		{"nothing", "GET", "/api/nothing", nil, 404},
		{"out of the folder", "GET", "/../server.go", nil, 307}, // to /server.go
		{"what is not in the folder", "GET", "/server.go", nil, 404},
		{"from the page", "GET", "/api/path?service=games/match-5", header("Sec-Fetch-Site", "same-origin"), 200},
		{"typed by the user", "GET", "/", header("Sec-Fetch-Site", "none"), 200},
		{"the page as its own origin", "GET", "/api/path?service=games/match-5", header("Origin", "http://"+d.server.host), 200},

		{"no cookie", "GET", "/", nobody, 401},
		{"no cookie, the state", "GET", "/api/path?service=games/match-5", nobody, 401},
		{"no cookie, changes", "GET", "/api/changes", nobody, 401},
		{"another token", "GET", "/?token=AAAA", nobody, 401},
		{"an empty token", "GET", "/?token=", nobody, 401},
		{"the token elsewhere", "GET", "/api/path?token=" + d.server.token, nobody, 401},
		{"another cookie", "GET", "/", header("Cookie", d.server.cookie()+"=AAAA"), 401},
		{"the cookie of another port", "GET", "/", header("Cookie", "clarion-1="+d.server.token), 401},
		{"DNS rebinding", "GET", "/", host("evil.example:80"), 403},
		{"DNS rebinding with the port", "GET", "/api/path?service=games/match-5", host("evil.example" + d.server.host[strings.Index(d.server.host, ":"):]), 403},
		{"DNS rebinding with the token", "GET", "/?token=" + d.server.token, host("evil.example"), 403},
		{"another port", "GET", "/", host("127.0.0.1:1"), 403},
		{"another name of the loopback", "GET", "/", host("localhost" + d.server.host[strings.Index(d.server.host, ":"):]), 403},
		{"another origin", "GET", "/api/path?service=games/match-5", header("Origin", "http://evil.example"), 403},
		{"no origin to speak of", "GET", "/api/path?service=games/match-5", header("Origin", "null"), 403},
		{"another site", "GET", "/", header("Sec-Fetch-Site", "cross-site"), 403},
		{"another port of this computer", "GET", "/", header("Sec-Fetch-Site", "same-site"), 403},
		{"POST", "POST", "/", nil, 405},
		{"PUT", "PUT", "/api/path?service=games/match-5", nil, 405},
		{"DELETE", "DELETE", "/api/path?service=games/match-5", nil, 405},
		{"OPTIONS", "OPTIONS", "/api/path?service=games/match-5", nil, 405},
	} {
		answer := ask(d, test.method, test.target, test.with)
		if answer.StatusCode != test.code {
			t.Errorf("%s: %d instead of %d", test.what, answer.StatusCode, test.code)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Access-Control-Allow-Origin": "", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := answer.Header.Get(name); got != want && answer.StatusCode != http.StatusNotFound { // of which nothing is kept
				t.Errorf("%s: %s is %q", test.what, name, got)
			}
		}
	}
}

func TestTheTokenBecomesACookieThatScriptsDoNotSee(t *testing.T) {
	d := newTestServer(t)
	answer := ask(d, "GET", strings.TrimPrefix(d.URL(), "http://"+d.server.host), func(r *http.Request) { r.Header.Del("Cookie") })
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" {
		t.Errorf("%d to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
	cookies := answer.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Value != d.server.token {
		t.Errorf("cookies: %v", cookies)
	}
	if other := newTestServer(t); other.server.token == d.server.token || len(d.server.token) < 26 {
		t.Errorf("the token is %q, and that of another run %q", d.server.token, other.server.token)
	}
}

// The policy lets nothing run that is in the page itself, so that there must be nothing.
func TestThePageKeepsToItsPolicy(t *testing.T) {
	entries, err := files.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := files.ReadFile("page/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc", "<style", " style=", " onclick=", "https://", "http://"} {
			if strings.Contains(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), forbidden) {
				t.Errorf("%s has %q in it", entry.Name(), forbidden)
			}
		}
		if strings.HasSuffix(entry.Name(), ".html") && strings.Count(text, "<script") != strings.Count(text, "<script type=\"module\" src=\"") {
			t.Errorf("%s has a script of its own", entry.Name())
		}
	}
}

// told is what a page is told.
type told struct {
	news
	revision string
}

// following reads the changes of one page.
type following struct {
	answer *http.Response
	lines  *bufio.Scanner
}

func follow(t *testing.T, d *Dashboard, query string) *following {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+d.server.host+"/api/changes"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: d.server.cookie(), Value: d.server.token})
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	return &following{answer, lines}
}

// next is the next thing that the page is told.
func (f *following) next(t *testing.T) (told told) {
	t.Helper()
	for f.lines.Scan() {
		if id, is := strings.CutPrefix(f.lines.Text(), "id: "); is {
			told.revision = id
		}
		if data, is := strings.CutPrefix(f.lines.Text(), "data: "); is {
			if err := json.Unmarshal([]byte(data), &told); err != nil {
				t.Fatal(err)
			}
			return told
		}
	}
	t.Fatal("the plugin has ended it", f.lines.Err())
	return told
}

func serveUntilTheEnd(t *testing.T, d *Dashboard) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPagesAreToldWhatChangesAndThatItIsStale(t *testing.T) {
	d := newTestServer(t)
	serveUntilTheEnd(t, d)
	page := follow(t, d, "")
	first := page.next(t)
	if first.State == nil || first.Change != nil || first.Stale != "" {
		t.Errorf("at first it is told %.100s", first.State)
	}
	state := d.board.latest().state
	if err := d.Show(state, "nodes cannot be read"); err != nil {
		t.Fatal(err)
	}
	if told := page.next(t); told.revision != first.revision || told.Stale != "nodes cannot be read" || told.State != nil || told.Change != nil {
		t.Errorf("it is told %v after %v", told, first)
	}
	other := snapshot.Of(fixture.New(time.Now())[1:]...).State()
	if err := d.Show(other, ""); err != nil {
		t.Fatal(err)
	}
	second := page.next(t)
	if second.revision == first.revision || second.Stale != "" || second.State != nil || second.Change == nil {
		t.Errorf("it is told %v after %v", second, first)
	}
	now := json.RawMessage(d.board.latest().text)
	if got := applied(tree(t, first.State), tree(t, second.Change)); !reflect.DeepEqual(got, tree(t, now)) {
		t.Errorf("it becomes %v", got)
	}
	for query, want := range map[string]string{"?since=" + first.revision: "a change", "?since=" + second.revision: "nothing", "?since=9": "all", "?since=x": "all"} {
		told := follow(t, d, query).next(t)
		if got := map[bool]string{told.Change != nil: "a change", told.State != nil: "all"}[true]; cmp.Or(got, "nothing") != want || told.revision != second.revision {
			t.Errorf("%s: it is told %s, revision %s", query, got, told.revision)
		}
	}
}

func TestChangesAreKeptAsLongAsTheyAreShorterThanTheWhole(t *testing.T) {
	b := newBoard()
	for i := range 100 {
		if err := b.post(nil, &overview{Cluster: strings.Repeat("x", i)}, ""); err != nil {
			t.Fatal(err)
		}
	}
	now, sum := b.latest(), 0
	for _, change := range now.changes {
		sum += len(change)
	}
	if sum > len(now.text) || len(now.changes) == 0 || now.revision != 100 {
		t.Errorf("%d changes of %d bytes are kept at revision %d, for %d bytes", len(now.changes), sum, now.revision, len(now.text))
	}
	if list := now.newsSince(100-uint64(len(now.changes))-1, true); list[0].State == nil {
		t.Errorf("after a gap it is told %v", list)
	}
}

func TestPagesThatFollowAreLimited(t *testing.T) {
	d := newTestServer(t)
	serveUntilTheEnd(t, d)
	var pages []*following
	for range maxPages {
		page := follow(t, d, "")
		page.next(t)
		pages = append(pages, page)
	}
	tooMany := follow(t, d, "")
	if text, _ := io.ReadAll(tooMany.answer.Body); tooMany.answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", tooMany.answer.StatusCode, text)
	}
	if answer := ask(d, "GET", "/api/path?service=games/match-5", nil); answer.StatusCode != http.StatusOK {
		t.Errorf("the others get %d", answer.StatusCode)
	}
	pages[0].answer.Body.Close()
	<-d.server.pages // waits until the place is free
	follow(t, d, "").next(t)
}
