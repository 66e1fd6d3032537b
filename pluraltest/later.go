package pluraltest

import "time"

// job is an action for later. Its timer runs it. A job without a timer runs
// when other code calls runJob.
type job struct {
	timer   *time.Timer
	run     func(dropped bool) // the caller holds Server.mu
	isClock bool               // the job belongs to the clock and is not a late effect, so Flush does not run it
}

func (j *job) stop() {
	if j.timer != nil {
		j.timer.Stop()
	}
}

// schedule runs the function after a delay. Close drops the function, and Flush
// runs it at once. The function runs while s.mu is held, and the caller of
// schedule must hold s.mu as well.
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

// hold keeps a write of the order PENDING until c.reads reads have seen that
// status. If c.reads is zero, the write stays PENDING for c.delay.
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

// countRead records that a client is about to read the order. Such a read also
// shows the order's refunds, so it counts as a read of each refund as well.
// After as many reads as the write waits for, the next read sees the final
// state.
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
