package pluralriver

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivermigrate"
)

// migrationLock is the key of PostgreSQL's advisory lock for migrations.
const migrationLock = 5390217447

// Migrate creates River's tables, or brings them up to date. On PostgreSQL
// every process can run Migrate at its start, because the processes wait for
// each other. River's own migrator does not wait. Migrate takes two
// connections. On SQLite only one process at a time may run Migrate.
//
//	err := pluralriver.Migrate(ctx, riverpgxv5.New(pool))
func Migrate[TTx any](ctx context.Context, driver riverdriver.Driver[TTx]) error {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("pluralriver: migrate: %w", err)
	}
	if driver.DatabaseName() == riverdriver.DatabaseNamePostgres {
		tx, err := driver.GetExecutor().Begin(ctx)
		if err != nil {
			return fmt.Errorf("pluralriver: migrate: %w", err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // the transaction only holds the lock
		if _, err := tx.PGAdvisoryXactLock(ctx, migrationLock); err != nil {
			return fmt.Errorf("pluralriver: migrate: lock: %w", err)
		}
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("pluralriver: migrate: %w", err)
	}
	return nil
}
