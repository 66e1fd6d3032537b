package pluraltest

import (
	"net/http"
	"net/url"
)

// linkPath is the start of the path in a link's short URL, as in UAT.
const linkPath = "/PLUTUS/"

// addLinkPages adds the pages of payment links to the server's pages. When a
// customer opens such a page, the link becomes CLICKED.
func (s *Server) addLinkPages() { s.pages.HandleFunc(linkPath+"{code}", s.followLink) }

// followLink sends the customer to the checkout, or shows why the link cannot
// be paid.
func (s *Server) followLink(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		renderCheckout(w, http.StatusMethodNotAllowed, messagePage(
			"This link does not accept "+r.Method, "Open it in a browser."))
		return
	}
	target, refused := s.destination(r.PathValue("code"), r.Method == http.MethodGet)
	switch {
	case refused != nil:
		renderCheckout(w, http.StatusGone, refused)
	case target == "":
		renderCheckout(w, http.StatusNotFound, unknownLinkPage())
	default:
		w.Header().Set("Cache-Control", "no-store") // the answer changes once the link has ended
		w.Header().Set("Referrer-Policy", "no-referrer")
		http.Redirect(w, r, target, http.StatusSeeOther)
	}
}

func (s *Server) destination(code string, opens bool) (target string, refused *checkoutPage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	l := s.linksByCode[code]
	if l == nil {
		return "", nil
	}
	if page := endedLinkPage(l); page != nil {
		return "", page
	}
	if opens {
		s.open(l)
	}
	return checkoutPath + "?token=" + url.QueryEscape(l.order.token), nil
}

// endedLinkPage makes a page that says why the link can no longer be paid. It
// returns nil while the link can be paid.
func endedLinkPage(l *link) *checkoutPage {
	if l == nil {
		return nil
	}
	switch l.ended {
	case StatusExpired:
		return messagePage("This payment link has expired",
			"The link could be paid until "+l.expireBy.UTC().Format("2 January 2006, 15:04 UTC")+
				". Ask the shop for a new one.")
	case StatusCancelled:
		return messagePage("This payment link was cancelled", "The shop has cancelled the link. There is nothing to pay.")
	}
	return nil
}

func unknownLinkPage() *checkoutPage {
	return messagePage(
		"This payment link is not known",
		"A part of the link may be missing, or it belongs to another run of the emulator, "+
			"which forgets its orders when it ends. Ask the shop for a new link.",
	)
}
