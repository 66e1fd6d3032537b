package pluraltest

import (
	"io"
	"net/http"
	"time"
)

// knownErrors lists errors of the published catalogue. A fault with one of
// their codes gets the catalogue's message.
var knownErrors = []apiError{
	errMalformed, errUnauthorized, errOrderNotFound, errDuplicate, errNotAllowed, errOrderCancelled,
	errAmountLimit, errRateLimit, errPaymentRateLimit, errInternal, errTimedOut,
}

func faultError(f Fault) answer {
	e := apiError{status: f.Status, code: f.Code, message: http.StatusText(f.Status)}
	for _, known := range knownErrors {
		if known.code == f.Code {
			e.message = known.message
		}
	}
	a := e.answer()
	if f.RetryAfter != "" {
		a.header = http.Header{"Retry-After": {f.RetryAfter}}
	}
	return a
}

// carryOut runs an operation and sends its answer. The fault may change the
// effect and the answer.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request, conn *serverConn, req *Request, run route, f Fault) {
	a, lateEffect := s.applyFault(req, run, f)
	if lateEffect != nil && f.Answer == AnswerHang {
		s.waitWhileConnected(r, -1)
		lateEffect()
		panic(http.ErrAbortHandler)
	}
	if lateEffect != nil {
		lateEffect()
	}
	s.sendAnswer(w, r, conn, req, a, f)
}

// resultOf returns the result of an operation for a fault with the effect e.
func resultOf(op string, e Effect) resultMode {
	switch {
	case !canFail(op):
		return resultDone
	case e == ApplyPending:
		return resultPending
	case e == ApplyPendingFail:
		return resultPendingFails
	case e == ApplyFail:
		return resultFailed
	case e == ApplyByLegs && op == OpCapturesCreate:
		return resultByLegs
	case e == ApplyByLegsFail && op == OpCapturesCreate:
		return resultByLegsFails
	default:
		return resultDone
	}
}

// applyFault runs the operation with the fault's effect. If the effect must
// come later, lateEffect is a function that schedules the effect. Otherwise
// lateEffect is nil.
func (s *Server) applyFault(req *Request, run route, f Fault) (a answer, lateEffect func()) {
	c := &call{Request: req, body: req.Body, reads: f.Reads, delay: f.Delay, reversed: f.PointsFirst}
	if run.op == OpRefundsCreate {
		c.ends = f.Ends
	}
	c.view.noCaptureData = f.Answer == AnswerNoCaptureData
	c.view.noParent = f.Answer == AnswerNoParent
	c.view.otherOrder = f.Answer == AnswerOtherOrder
	c.result = resultOf(run.op, f.Effect)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapseDue()
	s.expireDue()
	if f != NoFault {
		c.record = s.logFault(req, f, EffectNotApplied)
	}
	if f.Effect == ApplyNever {
		return errInternal.answer(), nil
	}
	if refused := s.checkRequest(c, run); refused != nil {
		c.record.setEffect(EffectRejected, s.now())
		return refused.answer(), nil
	}
	switch {
	case f.Effect == ApplyLater:
		c.record.setEffect(EffectWaiting, s.now())
		return errInternal.answer(), func() { s.applyLater(c, run, f.Delay) }
	case f.Effect == InsertLater && run.op == OpRefundsCreate:
		return s.checkNow(c, run, f.Delay)
	case f.Answer == AnswerStale && isRead(run.op):
		return s.readBehind(c, f.Delay), nil
	case s.cfg.readLag > 0 && isRead(run.op):
		return s.readBehind(c, s.cfg.readLag), nil
	}
	a = run.run(s, c)
	switch {
	case !a.applied && a.status >= http.StatusBadRequest:
		c.record.setEffect(EffectRejected, s.now())
	case !a.applied || c.result == resultFailed:
	case c.result == resultDone && c.ends == "":
		c.record.setEffect(EffectApplied, s.now())
	case c.record != nil && c.record.Effect == EffectNotApplied:
		c.record.setEffect(EffectWaiting, s.now())
	}
	return a, nil
}

// readBehind answers a read with an old document, as a slow replica would.
func (s *Server) readBehind(c *call, lag time.Duration) answer {
	if c.Op == OpPaymentLinksGet || c.Op == OpPaymentLinksGetByReference {
		return s.readLinkStale(c, lag)
	}
	return s.readStale(c, lag)
}

// checkNow checks a refund when its request arrives. The server makes the
// refund after the delay, without another check. If the client repeats the
// request in the meantime, the server makes the refund twice.
func (s *Server) checkNow(c *call, run route, delay time.Duration) (answer, func()) {
	c.checking = true
	if a := run.run(s, c); !a.applied {
		if a.status >= http.StatusBadRequest {
			c.record.setEffect(EffectRejected, s.now())
		}
		return a, nil
	}
	c.checking, c.insert = false, true
	c.record.setEffect(EffectWaiting, s.now())
	return errInternal.answer(), func() { s.applyLater(c, run, delay) }
}

func (s *Server) applyLater(c *call, run route, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule(delay, func(dropped bool) {
		if dropped {
			c.record.setEffect(EffectDropped, s.now())
			return
		}
		switch a := run.run(s, c); {
		case a.applied:
			c.record.setEffect(EffectAppliedLate, s.now())
		case a.status >= http.StatusBadRequest:
			c.record.setEffect(EffectRejected, s.now())
		default:
			c.record.setEffect(EffectNotApplied, s.now()) // a repeat of this request has already had the effect
		}
	})
}

// sendAnswer sends the answer, after the changes that the fault makes to the
// answer.
func (s *Server) sendAnswer(w http.ResponseWriter, r *http.Request, conn *serverConn, req *Request, a answer, f Fault) {
	switch f.Answer {
	case AnswerRefused, AnswerReset:
		conn.abort()
		panic(http.ErrAbortHandler)
	case AnswerClose:
		_ = conn.Close()
		panic(http.ErrAbortHandler)
	case AnswerStreamReset:
		panic(http.ErrAbortHandler) // serverConn turns the reset into a PROTOCOL_ERROR
	case AnswerHang:
		s.waitWhileConnected(r, -1)
		panic(http.ErrAbortHandler)
	case AnswerThenClose:
		conn.closeWhenIdle.Store(true)
		s.writeAnswer(w, req, a)
	case AnswerTruncated:
		s.writeHead(w, req, a, len(a.body))
		_, _ = w.Write(a.body[:(len(a.body)+1)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case AnswerStatus:
		s.writeAnswer(w, req, faultError(f))
	case AnswerHTML:
		s.writeAnswer(w, req, answer{status: f.Status, contentType: "text/html", body: []byte(htmlGateway(f.Status))})
	case AnswerEmpty:
		s.writeAnswer(w, req, answer{status: http.StatusOK})
	case AnswerErrorInOK:
		f.Status = http.StatusOK
		s.writeAnswer(w, req, faultError(f))
	case AnswerRedirect:
		elsewhere := http.Header{"Location": {s.URL + "/elsewhere"}}
		s.writeAnswer(w, req, answer{status: http.StatusTemporaryRedirect, header: elsewhere})
	case AnswerSlowHeaders:
		if !s.waitWhileConnected(r, f.Delay) {
			panic(http.ErrAbortHandler)
		}
		s.writeAnswer(w, req, a)
	case AnswerSlowBody:
		s.sendSlowly(w, r, req, a, f.Delay)
	case AnswerHuge:
		s.writeHead(w, req, a, f.Size+len(a.body))
		_, _ = io.CopyN(w, blanks{}, int64(f.Size)) // JSON allows blanks before a value
		_, _ = w.Write(a.body)
	case AnswerNormal, AnswerStale, AnswerNoCaptureData, AnswerNoParent, AnswerOtherOrder:
		s.writeAnswer(w, req, a)
	default:
		panic("pluraltest: unknown answer of a fault: " + string(f.Answer))
	}
}

// blanks is an endless stream of spaces.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

const drops = 10

// sendSlowly sends the body in small parts, spread evenly over the delay.
func (s *Server) sendSlowly(w http.ResponseWriter, r *http.Request, req *Request, a answer, over time.Duration) {
	flush := http.NewResponseController(w).Flush
	s.writeHead(w, req, a, len(a.body))
	_ = flush()
	for sent, i := 0, 1; i <= drops; i++ {
		if !s.waitWhileConnected(r, over/drops) {
			panic(http.ErrAbortHandler)
		}
		end := len(a.body) * i / drops
		_, _ = w.Write(a.body[sent:end])
		_ = flush()
		sent = end
	}
}

// waitWhileConnected waits for the duration d and then returns true. If the
// client leaves or the server is closed before that, waitWhileConnected returns
// false at once. A negative d means that only these two events end the wait.
func (s *Server) waitWhileConnected(r *http.Request, d time.Duration) bool {
	var over <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return true
	case <-r.Context().Done():
	case <-s.ctx.Done():
	}
	return false
}
