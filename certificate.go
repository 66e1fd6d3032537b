package plural

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// isUntrusted reports whether a connection was refused because of the peer's
// certificate: it will be the same one a moment later.
func isUntrusted(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok
}
