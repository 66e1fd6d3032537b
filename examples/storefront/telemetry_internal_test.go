package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Traces and metrics have the service's name, because a collector gets data
// from many services.
func TestTelemetryNamesItsService(t *testing.T) {
	told, err := startTelemetry(t.Context())
	require.NoError(t, err)
	defer told.shutDown(t.Context())
	w := httptest.NewRecorder()
	told.metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Regexp(t, `target_info\{.*service_name="storefront"`, w.Body.String())

	t.Setenv("OTEL_SERVICE_NAME", "shop-eu")
	told, err = startTelemetry(t.Context())
	require.NoError(t, err)
	defer told.shutDown(t.Context())
	w = httptest.NewRecorder()
	told.metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Regexp(t, `target_info\{.*service_name="shop-eu"`, w.Body.String())
}
