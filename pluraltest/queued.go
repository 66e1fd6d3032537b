package pluraltest

// QueuedFault is a fault that waits for its request.
type QueuedFault struct {
	Match Match
	Fault Fault
}

// QueuedFaults lists the faults from Inject that no request has met yet, in the
// order in which they will be taken.
func (s *Server) QueuedFaults() []QueuedFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []QueuedFault
	for _, r := range s.rules {
		for _, fault := range r.faults {
			list = append(list, QueuedFault{r.match, fault})
		}
	}
	return list
}
