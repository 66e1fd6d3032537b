package pluraltest

import "time"

// job is an action for later. The timer of the job runs the action. A job
// without a timer runs when other code calls runJob.
type job struct {
	timer   *time.Timer
	run     func(dropped bool) // the caller holds Server.mu
	isClock bool               // the job ends a hold when the hold's lifetime has passed; Flush does not run the job
}

func (j *job) stop() {
	if j.timer != nil {
		j.timer.Stop()
	}
}

// The method schedule calls run(false) after the delay d. Flush makes this call
// at once. Close calls run(true) instead, and the function then does not carry
// out its action. All these calls are made while s.mu is held, and the caller
// of schedule must hold s.mu as well.
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

// addJob adds a job without a timer.
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

// delayWrite delays the end of a write on the order o. If c.reads is zero, the
// write ends after c.delay. Otherwise reads of the order end the write: the
// first c.reads reads still show the earlier state, and the read after them
// ends the write. To end the write, delayWrite calls the function endWrite.
func (s *Server) delayWrite(o *order, c *call, endWrite func()) {
	p := &pendingResult{byReads: c.reads > 0, reads: c.reads}
	o.pending = p
	record := c.record
	run := func(dropped bool) {
		o.pending = nil
		if dropped {
			record.setEffect(EffectDropped, s.now())
			return
		}
		endWrite()
	}
	if p.byReads {
		p.job = s.addJob(run)
	} else {
		p.job = s.schedule(c.delay, run)
	}
}

// countRead records that a client is about to read the order. The answer to
// such a read also shows the order's refunds, so the read counts for each
// refund as well. If a pending write has had all the reads that it waits for,
// countRead ends the write. So the client reads the final state.
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
