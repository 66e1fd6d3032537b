package main

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// letterArgs is a job that has nothing to do with Plural: a letter to a guest.
type letterArgs struct {
	Number string `json:"number"`
	Text   string `json:"text"`
}

// Kind returns the job's name in River's tables.
func (letterArgs) Kind() string { return "letter" }

// insertLetter inserts a job in the transaction. After the transaction is
// committed, the job sends a letter.
func (h *hotel) insertLetter(ctx context.Context, tx pgx.Tx, number, text string) error {
	_, err := h.money.river.InsertTx(ctx, tx, letterArgs{number, text}, nil)
	return err
}

// postman sends letters. In this example it only records the letters in a
// table.
type postman struct {
	river.WorkerDefaults[letterArgs]

	hotel *hotel
}

// Work carries out a job: it sends one letter.
func (p *postman) Work(ctx context.Context, job *river.Job[letterArgs]) error {
	_, err := p.hotel.pool.Exec(ctx, `INSERT INTO letters (number, text) VALUES ($1, $2)`, job.Args.Number, job.Args.Text)
	return err
}
