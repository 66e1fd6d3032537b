package pluraltest

import "time"

// job is something that happens later: at a time or, if it has no timer, when
// other code runs it.
type job struct {
	timer   *time.Timer
	run     func(dropped bool) // with Server.mu held
	isClock bool               // not an effect that is still to come: Flush leaves it alone
}

func (j *job) stop() {
	if j.timer != nil {
		j.timer.Stop()
	}
}

// schedule runs the function after a delay, with s.mu held. Close drops it, and
// Flush runs it at once. s.mu must be held.
func (s *Server) schedule(d time.Duration, run func(dropped bool)) *job {
	j := s.addJob(run)
	if s.closed {
		return j
	}
	j.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.runJob(j)
	})
	return j
}

// addJob adds a job that has no time of its own.
func (s *Server) addJob(run func(dropped bool)) *job {
	j := &job{run: run}
	if s.closed {
		run(true)
		return j
	}
	s.jobs[j] = struct{}{}
	return j
}

func (s *Server) runJob(j *job) {
	if _, waiting := s.jobs[j]; !waiting {
		return
	}
	delete(s.jobs, j)
	j.stop()
	j.run(false)
}

// pendingResult is a write that was answered PENDING.
type pendingResult struct {
	job     *job
	byReads bool
	reads   int // how many reads still see PENDING
}

// hold leaves a write of the order open until c.reads reads have seen PENDING
// or, if c.reads is zero, for c.delay.
func (s *Server) hold(o *order, c *call, finish func()) {
	p := &pendingResult{byReads: c.reads > 0, reads: c.reads}
	o.pending = p
	record := c.record
	run := func(dropped bool) {
		o.pending = nil
		if dropped {
			record.settle(EffectDropped, s.now())
			return
		}
		finish()
	}
	if p.byReads {
		p.job = s.addJob(run)
	} else {
		p.job = s.schedule(c.delay, run)
	}
}

// countRead records that a client is about to read the order, and its refunds
// with it. After c.reads such reads, the next read sees the final state.
func (s *Server) countRead(o *order) {
	for _, each := range append([]*order{o}, o.refunds...) {
		switch p := each.pending; {
		case p == nil || !p.byReads:
		case p.reads > 0:
			p.reads--
		default:
			s.runJob(p.job)
		}
	}
}
