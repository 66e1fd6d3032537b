package plural

// Environment is one of Plural's two installations, or neither, for a base URL
// of one's own. There is no fallback from one to another.
type Environment string

// The environments. A client that is not told otherwise talks to [UAT], which
// cannot move real money.
const (
	UAT        Environment = "uat"        // https://pluraluat.v2.pinepg.in
	Production Environment = "production" // https://api.pluralpay.in
	custom     Environment = "custom"     // set by WithBaseURL
)

func (e Environment) baseURL() string {
	if e == Production {
		return "https://api.pluralpay.in"
	}
	return "https://pluraluat.v2.pinepg.in"
}
