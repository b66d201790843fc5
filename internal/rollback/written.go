package rollback

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// written is the object that this client has written last. The API has it in that version or a later one, unless it has gone back: also
// when so much was written since that its revision tells nothing any more.
type written struct {
	mu sync.Mutex
	// collection is the path of its collection, and revision that of the write; "" for none.
	collection, name, revision string
}

// changed finds the object that a request changes, by the path of its collection and its name. It is none that is in a namespace: such a
// collection is read as a whole, at another path.
func changed(request *http.Request) (collection, name string, changes bool) {
	if request.Method != http.MethodPut && request.Method != http.MethodPatch {
		return "", "", false
	}
	collection, name = path.Split(strings.TrimSuffix(request.URL.Path, "/status"))
	return strings.TrimSuffix(collection, "/"), name, !strings.Contains(collection, "/namespaces/")
}

// note takes note of the answer to a request that changes an object, and leaves the answer as it was.
func (w *written) note(request *http.Request, response *http.Response) {
	collection, name, changes := changed(request)
	if !changes || response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
	revision := revisionIn(body)
	if revision == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.collection, w.name, w.revision = collection, name, revision
}

// forget has nothing be known of any object: the API has gone back, and that is known.
func (w *written) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revision = ""
}

// failing is the end of a body that could be read so far.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// revisionIn is the version of an object in JSON; "" if it has none.
func revisionIn(body []byte) string {
	var object metav1.PartialObjectMetadata
	if json.Unmarshal(body, &object) != nil {
		return ""
	}
	return object.ResourceVersion
}

// lost says whether the object is one of a collection, and the API has it in an earlier version than the one that was written. ask returns the
// objects of the collection that have a name.
func (w *written) lost(in string, ask func(name string) (*metav1.PartialObjectMetadataList, error)) (bool, error) {
	w.mu.Lock()
	collection, name, revision := w.collection, w.name, w.revision
	w.mu.Unlock()
	if revision == "" || collection != in {
		return false, nil
	}
	found, err := ask(name)
	if err != nil || len(found.Items) != 1 {
		return false, err // it may have been deleted
	}
	order, err := resourceversion.CompareResourceVersion(found.Items[0].ResourceVersion, revision)
	return err == nil && order < 0, nil
}
