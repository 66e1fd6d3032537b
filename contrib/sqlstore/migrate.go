package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the tables up to date. A process may call Migrate each time
// that it starts, even if other processes call Migrate at the same time. A shop
// that has its own tool for migrations can take the files from the folder
// migrations instead, and leave Migrate out.
func (in *Inbox) Migrate(ctx context.Context) error {
	dir := path.Join("migrations", in.dialect.name)
	files, err := fs.ReadDir(migrations, dir)
	if err != nil {
		return err
	}
	tx, err := in.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	run := func(statement string) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	}
	if in.dialect.lock != "" {
		if err := run(in.dialect.lock); err != nil {
			return fmt.Errorf("sqlstore: migrate: %w", err)
		}
	}
	if err := run(`CREATE TABLE IF NOT EXISTS plural_inbox_migrations (name text PRIMARY KEY)`); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	done, err := in.migrated(ctx, tx)
	if err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	for _, file := range files {
		name := file.Name()
		if slices.Contains(done, name) {
			continue
		}
		statements, err := fs.ReadFile(migrations, path.Join(dir, name))
		if err != nil {
			return err
		}
		if err := run(string(statements)); err != nil {
			return fmt.Errorf("sqlstore: migrate %s: %w", name, err)
		}
		// It is safe to put the name into the text of the SQL statement,
		// because a caller cannot choose the name. It is the name of a file in
		// this package.
		if err := run(`INSERT INTO plural_inbox_migrations (name) VALUES ('` + name + `')`); err != nil {
			return fmt.Errorf("sqlstore: migrate %s: %w", name, err)
		}
	}
	return tx.Commit()
}

func (in *Inbox) migrated(ctx context.Context, tx *sql.Tx) (names []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT name FROM plural_inbox_migrations`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
