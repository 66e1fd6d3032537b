package sqlstore

import "time"

// OnStep has a function called between the steps of handling an event.
func (in *Inbox) OnStep(step func(name string)) { in.step = step }

// GiveTime sets the time of a delivery's transaction.
func (in *Inbox) GiveTime(d time.Duration) { in.time = d }
