package dashboard

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

// policy has the browser run and show nothing but what the plugin sends, and make nothing of text but
// text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

const (
	// heartbeat is how often a page hears that the plugin is there. The page gives up after three.
	heartbeat = 5 * time.Second
	// maxPages is how many pages follow at once.
	maxPages = 16
	// writeTimeout is how long a page may take to read what it is sent.
	writeTimeout = 30 * time.Second
)

// server answers browsers on this computer that have the token, and nobody else. What it answers is
// in no cache.
type server struct {
	board *board
	// host is what the browser must take the plugin for: "127.0.0.1:8080".
	host  string
	token string
	page  fs.FS
	pages chan struct{} // one for each page that follows
}

// newServer makes a server with a new token. The listener says where it is reached.
func newServer(b *board, listener net.Listener) *server {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the folder is in the binary
	}
	return &server{board: b, host: listener.Addr().String(), token: rand.Text(), page: page, pages: make(chan struct{}, maxPages)}
}

// URL is where the page is. Who has it can read what the caller of the plugin can read.
func (s *server) URL() string { return "http://" + s.host + "/?token=" + s.token }

// cookie has the port in its name, because browsers give cookies to all ports of a host.
func (s *server) cookie() string { return "clarion-" + s.host[strings.LastIndex(s.host, ":")+1:] }

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(s.page))
	mux.HandleFunc("GET /api/path", s.path)
	mux.HandleFunc("GET /api/changes", s.changes)
	return s.guarded(mux)
}

// guarded lets only those through who may read, and tells browsers what they may make of the answer.
func (s *server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Cache-Control":                "no-store",
			"Content-Security-Policy":      policy,
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
		} {
			w.Header().Set(name, value)
		}
		switch {
		case r.Host != s.host: // a name that an attacker has lead here (DNS rebinding)
			http.Error(w, "the page is at http://"+s.host, http.StatusForbidden)
		case !s.sameOrigin(r):
			http.Error(w, "another page asks; copy the address that the plugin prints into the browser", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "there is nothing to change here", http.StatusMethodNotAllowed)
		case r.URL.Path == "/" && s.isToken(r.URL.Query().Get("token")):
			http.SetCookie(w, &http.Cookie{Name: s.cookie(), Value: s.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
			http.Redirect(w, r, "/", http.StatusSeeOther) // so that the token is not in the address any more
		case !s.hasCookie(r):
			http.Error(w, "open the address that the plugin prints, with its token", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// sameOrigin says whether a request comes from the page itself or from the user, as far as the
// browser says so.
func (s *server) sameOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+s.host {
		return false
	}
	return slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site"))
}

func (s *server) isToken(text string) bool {
	return subtle.ConstantTimeCompare([]byte(text), []byte(s.token)) == 1
}

func (s *server) hasCookie(r *http.Request) bool {
	cookie, err := r.Cookie(s.cookie())
	return err == nil && s.isToken(cookie.Value)
}

func (s *server) path(w http.ResponseWriter, r *http.Request) {
	namespace, name, named := strings.Cut(r.URL.Query().Get("service"), "/")
	if !named {
		http.Error(w, "service=NAMESPACE/NAME is missing", http.StatusBadRequest)
		return
	}
	found := pathOf(s.board.latest().state, namespace, name)
	if found == nil {
		http.Error(w, "there is no such Service", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(found)
}

// news is what a page is told: State, an overview as a whole, or Change, a delta from the revision before, or neither.
type news struct {
	Stale  string          `json:"stale"`
	State  json.RawMessage `json:"state,omitempty"`
	Change json.RawMessage `json:"change,omitempty"`
}

// newsSince is what a page is told that shows this revision, whose end is that of p; of none if known is false.
func (p *posted) newsSince(revision uint64, known bool) []news {
	changes, follows := p.since(revision)
	if !known || !follows {
		return []news{{Stale: p.stale, State: p.text}}
	}
	var list []news
	for _, change := range changes {
		list = append(list, news{Stale: p.stale, Change: change})
	}
	if len(list) == 0 {
		list = append(list, news{Stale: p.stale})
	}
	return list
}

// changes tells a page, by server-sent events, what there is to show and what keeps it from being up to date: at once, after every
// change, and as a sign of life. A page that has shown a revision, which it says, is told what has changed since. A page that does not
// read is given up.
func (s *server) changes(w http.ResponseWriter, r *http.Request) {
	select {
	case s.pages <- struct{}{}:
		defer func() { <-s.pages }()
	default:
		http.Error(w, fmt.Sprintf("%d pages are open already", maxPages), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	revision, err := strconv.ParseUint(cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("since")), 10, 64)
	known := err == nil
	for {
		latest := s.board.latest()
		if control.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return
		}
		list := latest.newsSince(revision, known)
		for i, told := range list {
			text, err := json.Marshal(told)
			if err != nil {
				return
			}
			at := latest.revision - uint64(len(list)-1-i)
			if _, err := fmt.Fprintf(w, "event: news\nid: %d\ndata: %s\n\n", at, text); err != nil {
				return
			}
		}
		if control.Flush() != nil {
			return
		}
		revision, known = latest.revision, true
		select {
		case <-latest.replaced:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}
