package fact_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/cmd/plural/internal/probe/fact"
)

func TestFactsShowFormsOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fact fact.Fact
		want string
	}{
		{fact.Took("t", 1234567*time.Microsecond), "1.235s"},
		{fact.Took("t", 90*time.Minute), "1h30m0s"},
		{fact.Count("n", 3), "3"},
		{fact.Holds("h", true), "yes"},
		{fact.Holds("h", false), "no"},
		{fact.Answered("a", 422, "ORDER_NOT_FOUND"), "422 ORDER_NOT_FOUND"},
		{fact.Answered("a", 200, ""), "200"},
		{fact.Answered("a", 422, "kevin@example.com"), "422 (no code)"},
		{fact.Answered("a", 422, "A1B2C3D4E5F6A1B2"), "422 (no code)"},
		{fact.Names("n", []string{"status", "Date", "a b", "4012001037141112"}), "Date, status, (2 of another form)"},
		{fact.Names("n", nil), "none"},
		{fact.OneOf("p", "HTTP/2.0", "HTTP/1.1", "HTTP/2.0"), "HTTP/2.0"},
		{fact.OneOf("p", "what it said", "HTTP/1.1"), "(another)"},
	} {
		require.Equal(t, tt.want, tt.fact.Text())
	}
}

func TestFactsAreKept(t *testing.T) {
	t.Parallel()
	encoded, err := json.Marshal([]fact.Fact{fact.Count("orders", 2)})
	require.NoError(t, err)
	var read []fact.Fact
	require.NoError(t, json.Unmarshal(encoded, &read))
	require.Equal(t, []fact.Fact{fact.Count("orders", 2)}, read)
	require.Error(t, json.Unmarshal([]byte(`[3]`), &read))
}
