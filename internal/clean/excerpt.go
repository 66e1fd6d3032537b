package clean

import (
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strings"
)

// Excerpt describes an answer that is not JSON, such as a firewall's page. If
// the parameter quote is true, Excerpt quotes the beginning of an HTML page or
// of a text. Some servers write a warning before JSON, or a prefix that stops
// scripts from reading the JSON. That JSON may have personal data or the link
// to the checkout. So Excerpt quotes nothing if the body has "{" or "[", or if
// the text to quote has a quotation mark.
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
	text := strings.Join(strings.Fields(tagPattern.ReplaceAllString(body[:min(len(body), 1<<10)], " ")), " ")
	isPage := body[0] == '<' || strings.HasPrefix(mediaType, "text/")
	if !quote || !isPage || strings.ContainsAny(body, "{[") || strings.Contains(text, `"`) {
		return fmt.Sprintf("not JSON (%s)", kind)
	}
	return fmt.Sprintf("not JSON (%s): %s", kind, Shorten(text, most))
}

// tagPattern matches the HTML tags of a page. It also matches a tag at the end
// that has no ">", because the page may be cut off there.
var tagPattern = regexp.MustCompile(`<[^>]*>?`)
