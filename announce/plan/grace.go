package plan

import "time"

// RestartGrace is how long an announcer may be away from a node that is there: longer than it takes
// to restart or upgrade it. For that long its addresses stay its own, and others answer in its
// place or relay to it.
const RestartGrace = time.Minute
