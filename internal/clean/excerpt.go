package clean

import (
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// Excerpt describes an answer that is not JSON, such as a firewall's page. With
// quote, it also quotes the beginning of a page. It quotes nothing if the page
// has any of the characters that JSON is made of, because some servers write a
// warning, or a guard against scripts, before the JSON. That JSON may have
// personal data or the link to the checkout.
func Excerpt(body string, header http.Header, quote bool) string {
	body = strings.TrimSpace(body)
	if body == "" {
		return "empty answer"
	}
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || mediaType == "" {
		mediaType = "no content type"
	}
	const mostKind = 40
	kind := Shorten(mediaType, mostKind)
	if encoding := header.Get("Content-Encoding"); encoding != "" {
		kind += ", Content-Encoding: " + Shorten(encoding, mostKind)
	}
	const most = 80
	text := strings.Join(strings.Fields(tags.ReplaceAllString(body[:min(len(body), 1<<10)], " ")), " ")
	isPage := body[0] == '<' || strings.HasPrefix(mediaType, "text/")
	if !quote || !isPage || strings.ContainsAny(body, "{[") || strings.Contains(text, `"`) {
		return fmt.Sprintf("not JSON (%s)", kind)
	}
	return fmt.Sprintf("not JSON (%s): %s", kind, Shorten(text, most))
}

// tags matches the HTML tags of a page. It also matches a last tag that is cut
// off.
var tags = regexp.MustCompile(`<[^>]*>?`)
