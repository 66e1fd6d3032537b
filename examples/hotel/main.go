// Command hotel takes deposits. It holds an amount on a guest's card at
// booking, and takes a part of it at check-out. A guest who does not come pays
// a fee. A booking can be cancelled, and money can be given back. The hotel
// runs as one or several processes, with PostgreSQL and Redis. It uses every
// module of this repository.
//
// Everything about Plural is in plural.go. The hotel's rules and its SQL are in
// hotel.go. The hotel's pages are in web.go. The file letters.go has a job that
// has nothing to do with Plural. README.md has the settings.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

//go:embed schema.sql
var schema string

// The type settings has the settings of the program, which fromEnv makes. The
// SDK itself reads the variables PLURAL_...
type settings struct {
	Addr, URL, Database, Password string
	Redis                         *redis.Options

	HoldFor time.Duration // for how long a hold can safely be captured
	Quiet   time.Duration // if an order may still change, the hotel reads it again after this time
	Sweep   time.Duration // the time between two runs of the periodic job that finds orders which may have changed
	Try     time.Duration // time limit of one try of a call that moves money
	Rescue  time.Duration // how long until another process gets the job of a dead process
	Retry   river.ClientRetryPolicy
	opened  func()
}

func fromEnv() (s settings, err error) {
	s = settings{
		Addr: cmp.Or(os.Getenv("HOTEL_ADDR"), "127.0.0.1:8083"), URL: os.Getenv("HOTEL_URL"),
		Database: os.Getenv("HOTEL_DATABASE"), Password: os.Getenv("HOTEL_PASSWORD"),
		Quiet: 10 * time.Minute, Sweep: time.Minute, Try: 2 * time.Minute, Rescue: 5 * time.Minute, opened: func() {},
	}
	s.URL = cmp.Or(s.URL, "http://"+s.Addr)
	if s.Database == "" || os.Getenv("HOTEL_REDIS") == "" || s.Password == "" {
		return s, errors.New("HOTEL_DATABASE, HOTEL_REDIS and HOTEL_PASSWORD are needed")
	}
	if s.Redis, err = redis.ParseURL(os.Getenv("HOTEL_REDIS")); err != nil {
		return s, err
	}
	// Plural's documentation does not say how long a hold lasts. Ask Plural,
	// and subtract a day from the answer.
	s.HoldFor, err = time.ParseDuration(cmp.Or(os.Getenv("HOTEL_HOLD_FOR"), "96h"))
	return s, err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := fromEnv()
	if err == nil {
		err = run(ctx, s, log)
	}
	if err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1) //nolint:gocritic // the deferred call of stop does not run, and is not needed
	}
}

// The function run serves the hotel until ctx ends.
func run(ctx context.Context, s settings, log *slog.Logger) error {
	stopTraces, err := startTraces(ctx)
	if err != nil {
		return err
	}
	defer stopTraces()
	config, err := pgxpool.ParseConfig(s.Database)
	if err != nil {
		return err
	}
	config.MaxConns = max(config.MaxConns, 20) // sixteen jobs can run at once, and requests for pages need connections too
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	h := &hotel{pool: pool, log: log, quietFor: s.Quiet}
	if err := h.makeTables(ctx); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &postman{hotel: h})
	if h.money, err = openMoney(ctx, h, s, workers); err != nil {
		return err
	}
	defer h.money.close()
	if err := h.money.river.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	defer h.stopJobs()

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h.newHandler(s), ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	idle := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(idle)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), payTimeout+5*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	})
	log.Info("open", "hotel", s.URL+"/", "desk", s.URL+"/desk")
	s.opened()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-idle // running requests still need the database
	return nil
}

// stopJobs gives running jobs ten seconds to end. If a job does not end in
// time, another process finds it and tries it again.
func (h *hotel) stopJobs() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := h.money.river.Stop(ctx); err != nil {
		_ = h.money.river.StopAndCancel(context.Background())
	}
}

// makeTables makes the tables. Several processes may call it at once. It runs
// each version of the schema only once, because CREATE INDEX IF NOT EXISTS
// locks the table even if the index exists. The lock would delay the running
// processes, or lead to a deadlock with one of them.
func (h *hotel) makeTables(ctx context.Context) error {
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(schema)))
	return h.transact(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(2718281828)`)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS schemas (digest text PRIMARY KEY)`); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO schemas (digest) VALUES ($1) ON CONFLICT DO NOTHING`, digest)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, schema)
		return err
	})
}

// startTraces sends spans to OTEL_EXPORTER_OTLP_ENDPOINT, if that is set.
func startTraces(ctx context.Context) (stop func(), err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	return func() { _ = provider.Shutdown(context.WithoutCancel(ctx)) }, nil
}
