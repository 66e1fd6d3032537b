package sqlstore

// OnStep has a function called between the steps of handling an event.
func (in *Inbox) OnStep(step func(name string)) { in.step = step }
