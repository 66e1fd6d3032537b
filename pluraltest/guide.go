package pluraltest

// The credentials and the access token from the commands in the integration
// guide. These samples work only on an emulator.
const (
	guideClientID     = "a17ce30e-f88e-4f81-ada1-c3b4909ed232"
	guideClientSecret = "fgwei7egyhuggwp39w8rh" //nolint:gosec // a published sample and not a secret
	guideAccessToken  = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." +
		"eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ." +
		"SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)

// WithGuideSamples also accepts the sample credentials and the sample access
// token of Plural's integration guide, so the guide's commands work as they are
// printed. The samples are public, so do not use this option on a server that
// others can reach.
func WithGuideSamples() Option {
	return func(c *config) {
		c.guide = true
		c.accessTokens = append(c.accessTokens, guideAccessToken)
	}
}
