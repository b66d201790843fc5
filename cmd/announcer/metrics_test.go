package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// api is an API server that knows two users by their tokens, of whom one may scrape. It counts questions.
func api(t *testing.T) (*fake.Clientset, *int) {
	t.Helper()
	questions := 0
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		questions++
		review := action.(k8stesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		switch token := review.Spec.Token; token {
		case "scraper", "stranger":
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
				Username: token, Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"node": {"n"}},
			}}
		case "outage":
			return true, nil, errors.New("it is away")
		}
		return true, review, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		questions++
		review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		spec := review.Spec
		if spec.NonResourceAttributes == nil || *spec.NonResourceAttributes != (authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"}) ||
			strings.Join(spec.Groups, "") != "g" || strings.Join(spec.Extra["node"], "") != "n" {
			t.Errorf("the API server is asked about %+v", spec)
		}
		review.Status.Allowed = spec.User == "scraper"
		return true, review, nil
	})
	return client, &questions
}

func TestMetricsAreForThoseWhomTheAPIServerAllowsThem(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, authorization string
		want, questions             int
	}{
		"nobody":                {"GET", "/metrics", "", http.StatusUnauthorized, 0},
		"no token":              {"GET", "/metrics", "Bearer ", http.StatusUnauthorized, 0},
		"a password":            {"GET", "/metrics", "Basic YTpi", http.StatusUnauthorized, 0},
		"a token of nobody":     {"GET", "/metrics", "Bearer forged", http.StatusUnauthorized, 1},
		"somebody else":         {"GET", "/metrics", "Bearer stranger", http.StatusForbidden, 2},
		"the scraper":           {"GET", "/metrics", "Bearer scraper", http.StatusOK, 2},
		"no API server":         {"GET", "/metrics", "Bearer outage", http.StatusServiceUnavailable, 1},
		"another page":          {"GET", "/debug/pprof/", "Bearer scraper", http.StatusNotFound, 0},
		"another method":        {"POST", "/metrics", "Bearer scraper", http.StatusMethodNotAllowed, 0},
		"probes are not served": {"GET", "/healthz", "", http.StatusNotFound, 0},
	} {
		client, questions := api(t)
		request, answer := httptest.NewRequest(test.method, test.path, nil), httptest.NewRecorder()
		if test.authorization != "" {
			request.Header.Set("Authorization", test.authorization)
		}
		newMetricsHandler(client).ServeHTTP(answer, request)
		if answer.Code != test.want || *questions != test.questions {
			t.Errorf("%s: %d after %d questions, want %d after %d", name, answer.Code, *questions, test.want, test.questions)
		}
		if has := strings.Contains(answer.Body.String(), "kubernetes_build_info"); has != (test.want == http.StatusOK) {
			t.Errorf("%s: are there metrics? %t", name, has)
		}
	}
}

func TestWhoeverKnocksTheAPIServerIsAskedOnlySoOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, questions := api(t)
		handler := newMetricsHandler(client)
		knock := func() int {
			request, answer := httptest.NewRequest(http.MethodGet, "/metrics", nil), httptest.NewRecorder()
			request.Header.Set("Authorization", "Bearer forged")
			handler.ServeHTTP(answer, request)
			return answer.Code
		}
		for range 1000 {
			knock()
		}
		if got := knock(); got != http.StatusTooManyRequests || *questions != reviewsAtOnce {
			t.Errorf("the answer is %d, after %d questions", got, *questions)
		}
		time.Sleep(time.Second)
		if got := knock(); got != http.StatusUnauthorized {
			t.Errorf("a second later, the answer is %d", got)
		}
	})
}
