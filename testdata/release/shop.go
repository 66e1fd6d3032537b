// Command shop stands for a merchant's backend that uses every module of this
// repository. tools/release.sh builds and tests it with the published form of
// the modules.
package main

import (
	"context"
	"database/sql"
	"errors"
	"log"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"

	"github.com/plural-go/plural"
	pluralotel "github.com/plural-go/plural/contrib/otel"
	"github.com/plural-go/plural/contrib/redisstore"
	pluralriver "github.com/plural-go/plural/contrib/river"
	"github.com/plural-go/plural/contrib/sqlstore"
)

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	s, err := newShop(pool, os.Getenv("CLIENT_SECRET"), plural.WithBaseURL(os.Getenv("PLURAL_BASE_URL")))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.client.Warm(ctx); err != nil {
		log.Fatal(err)
	}
}

// shop is a merchant's backend.
type shop struct {
	client  *plural.Client
	webhook http.Handler
	workers *river.Workers
}

func newShop(pool *pgxpool.Pool, secret string, opts ...plural.Option) (*shop, error) {
	store := redisstore.New(redis.NewClient(&redis.Options{Addr: os.Getenv("REDIS_ADDR")}))
	opts = append(pluralotel.Instrument(), append(opts, plural.WithTokenStore(store))...)
	client, err := plural.NewClient(plural.Credentials{ClientID: "shop", ClientSecret: secret}, opts...)
	if err != nil {
		return nil, err
	}
	verifier, err := plural.NewVerifier(secret)
	if err != nil {
		return nil, err
	}
	inbox, err := sqlstore.NewInbox(stdlib.OpenDBFromPool(pool), sqlstore.Postgres)
	if err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	err = pluralriver.AddWorkers(workers, pluralriver.Config[pgx.Tx]{
		Client: client, Transact: pluralriver.Pgx(pool),
	})
	refuse := func(context.Context, *sql.Tx, *plural.Event) error { return errors.New("no event is expected") }
	return &shop{client: client, webhook: inbox.Handler(verifier, refuse), workers: workers}, err
}
