package pluraltest

// QueuedFault is a fault that waits for a request that matches.
type QueuedFault struct {
	Match Match
	Fault Fault
}

// QueuedFaults lists the faults that Inject has queued and that no request has
// met yet. The list begins with the fault that is taken next.
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
