package pluralriver

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Pgx returns a function for the Transact of [Config] and [Looks]. The function
// runs transactions on a pgx pool. Use Pgx with River's driver riverpgxv5.
func Pgx(pool *pgxpool.Pool) func(ctx context.Context, work func(tx pgx.Tx) error) error {
	return func(ctx context.Context, work func(tx pgx.Tx) error) error {
		return pgx.BeginFunc(ctx, pool, work)
	}
}

// SQL returns a function for the Transact of [Config] and [Looks]. The function
// runs transactions on a database of package database/sql. Use SQL with River's
// drivers riversqlite and riverdatabasesql.
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
