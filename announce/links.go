package announce

import (
	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
)

// interfacesUp are those links that addresses can be announced on now.
func interfacesUp(links []layer2.Interface) []plan.Interface {
	var up []plan.Interface
	for _, l := range links {
		if l.Up {
			up = append(up, plan.Interface{
				Name: l.Name, MAC: l.MAC.String(), Prefixes: l.Prefixes, DefaultRoute4: l.DefaultRoute4, DefaultRoute6: l.DefaultRoute6,
			})
		}
	}
	return up
}
