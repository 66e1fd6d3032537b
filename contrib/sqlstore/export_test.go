package sqlstore

import "time"

// OnStep sets a function that is called between the steps of handling an event.
func (in *Inbox) OnStep(step func(name string)) { in.step = step }

// GiveTime sets the time that a delivery's transaction may take.
func (in *Inbox) GiveTime(d time.Duration) { in.time = d }
