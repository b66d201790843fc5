package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/metrics/legacyregistry"
)

// reviews bounds what the API server is asked, whoever knocks: on each question follows at most one more.
const (
	reviewsPerSecond = 5
	reviewsAtOnce    = 10
)

// newMetricsHandler answers with the metrics those of whom the API server says that they may get /metrics. The standard
// cloud-controller-manager does the same; its code would have the announcer twice as large.
func newMetricsHandler(kube kubernetes.Interface) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", &guard{kube, rate.NewLimiter(reviewsPerSecond, reviewsAtOnce), legacyregistry.Handler()})
	return mux
}

// guard lets in those whom the API server allows what they ask for.
type guard struct {
	kube   kubernetes.Interface
	limit  *rate.Limiter
	behind http.Handler
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok || token == "":
		refuse(w, http.StatusUnauthorized)
		return
	case !g.limit.Allow():
		refuse(w, http.StatusTooManyRequests)
		return
	}
	user, err := g.authenticate(r.Context(), token)
	if err == nil && user == nil {
		refuse(w, http.StatusUnauthorized)
		return
	}
	allowed := false
	if err == nil {
		allowed, err = g.authorize(r.Context(), user, r)
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case !allowed:
		refuse(w, http.StatusForbidden)
	default:
		g.behind.ServeHTTP(w, r)
	}
}

func refuse(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }

// authenticate returns whose token it is, or nil.
func (g *guard) authenticate(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err := g.kube.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the API server whose token it is: %w", err)
	case !review.Status.Authenticated:
		return nil, nil
	}
	return &review.Status.User, nil
}

// authorize says whether a user may do what a request asks for.
func (g *guard) authorize(ctx context.Context, user *authenticationv1.UserInfo, r *http.Request) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: strings.ToLower(r.Method)},
	}}
	for key, values := range user.Extra {
		if review.Spec.Extra == nil {
			review.Spec.Extra = map[string]authorizationv1.ExtraValue{}
		}
		review.Spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := g.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask the API server what the user may do: %w", err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
