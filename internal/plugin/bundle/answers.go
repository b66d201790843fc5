package bundle

import (
	"strings"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/show"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

// mostAnswers is of how many Services in trouble it is said why.
const mostAnswers = 200

// addAnswers adds what kubectl clarion says of how it stands, and of each Service in trouble.
func (b *bundle) addAnswers(state *snapshot.State) error {
	var status strings.Builder
	if err := show.WriteStatus(&status, state); err != nil {
		return err
	}
	if err := b.add("answers/status.txt", []byte(status.String())); err != nil {
		return err
	}
	for i, service := range show.InTrouble(state) {
		if i == mostAnswers {
			break
		}
		var chain strings.Builder
		why.Service(state, service).Print(&chain, plugin.StyleFor(&chain), true)
		if err := b.add("answers/why/"+service.Namespace+"/"+service.Name+".txt", []byte(chain.String())); err != nil {
			return err
		}
	}
	return nil
}
