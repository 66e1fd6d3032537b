package pluralriver

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pgx runs transactions on a pgx pool, for River's driver riverpgxv5.
func Pgx(pool *pgxpool.Pool) func(ctx context.Context, work func(tx pgx.Tx) error) error {
	return func(ctx context.Context, work func(tx pgx.Tx) error) error {
		return pgx.BeginFunc(ctx, pool, work)
	}
}

// SQL runs transactions on database/sql, for River's drivers riversqlite and
// riverdatabasesql.
func SQL(db *sql.DB) func(ctx context.Context, work func(tx *sql.Tx) error) error {
	return func(ctx context.Context, work func(tx *sql.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after a commit it does nothing
		if err := work(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
}
