package pluraltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strconv"

	"github.com/google/uuid"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func seedBytes(seed uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("pluraltest"), seed)
}

func randomSeed() []byte {
	id := uuid.New()
	return id[:]
}

// digest makes the bytes for all ids, secrets and random choices. The bytes
// depend only on the seed and the names, so the values of a request do not
// depend on other requests.
func digest(seed []byte, names ...string) []byte {
	mac := hmac.New(sha256.New, seed)
	for _, name := range names {
		_, _ = io.WriteString(mac, strconv.Itoa(len(name))+":"+name)
	}
	return mac.Sum(nil)
}

func (s *Server) digest(names ...string) []byte { return digest(s.cfg.seed, names...) }

func letters(sum []byte, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = base62[int(sum[i%len(sum)])%len(base62)]
	}
	return string(b)
}

func digits(sum []byte, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0' + sum[i%len(sum)]%10
	}
	if b[0] == '0' {
		b[0] = '7'
	}
	return string(b)
}

// newID makes an order id of the documented form, v1-<yymmddhhmmss>-aa-<6
// letters>.
func (s *Server) newID(names ...string) string {
	for salt := 0; ; salt++ {
		sum := s.digest(append(names, strconv.Itoa(salt))...)
		id := "v1-" + s.now().UTC().Format("060102150405") + "-aa-" + letters(sum, 6)
		if s.orders[id] == nil {
			return id
		}
	}
}

// newPageToken makes a checkout token. Like the real tokens, it must be
// percent-encoded in a URL.
func (s *Server) newPageToken(orderID string) string {
	sum := append(s.digest("page", orderID), s.digest("page2", orderID)...)
	text := base64.RawURLEncoding.EncodeToString(sum)
	return "V3_" + text[:21] + "/" + text[21:50] + "+" + text[50:66]
}

// newMessageID makes a webhook-id of the documented form, msg_<27 letters>.
func (s *Server) newMessageID(names ...string) string {
	return "msg_" + letters(s.digest(append([]string{"message"}, names...)...), 27)
}

func (s *Server) newTraceID() string {
	s.traces++
	return hex.EncodeToString(s.digest("trace", strconv.Itoa(s.traces))[:16])
}

func (s *Server) newAcquirerData(paymentID, approval string) *acquirerDoc {
	sum := s.digest("acquirer", paymentID)
	return &acquirerDoc{
		ApprovalCode:      approval,
		AcquirerReference: digits(sum, 22),
		RRN:               digits(sum[5:], 12),
		IsAggregator:      true,
	}
}

func uuidFrom(sum []byte) string {
	id, _ := uuid.FromBytes(sum[:16])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
