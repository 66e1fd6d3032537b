package plural

import (
	"context"
	"log/slog"
	"time"

	"github.com/plural-go/plural/internal/foreign"
)

// logger writes the SDK's few log lines. Its zero value writes nothing.
type logger struct{ to *slog.Logger }

// writeAttempt writes a log line about one try. The path has no query string.
func (l logger) writeAttempt(
	ctx context.Context, op operation, path string, status int, requestID string, attempt int, began time.Time,
) {
	if l.to == nil {
		return
	}
	l.to.LogAttrs(ctx, slog.LevelDebug, "plural request",
		slog.String("op", op.name), slog.String("method", op.method), slog.String("path", path), slog.Int("status", status),
		slog.String("request_id", requestID), slog.Int("attempt", attempt), slog.Duration("duration", time.Since(began)))
}

func (l logger) storeFailed(step string, err error) {
	if l.to == nil {
		return
	}
	l.to.LogAttrs(context.Background(), slog.LevelWarn, "plural token store failed",
		slog.String("op", opToken.name), slog.String("step", step), slog.String("error", foreign.Describe(err)))
}
