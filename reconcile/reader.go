package reconcile

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/plural-go/plural"
)

// Reader reads orders and settlements for [Run]. [FromClient] makes a Reader; a
// test can use its own Reader. If [WithParallel] is used, [Run] may call
// several methods at the same time.
type Reader interface {
	// List lists the settlements of whole days, as
	// [plural.SettlementService.List] does. If the list is incomplete, the
	// error is a [plural.IncompleteError]. Its field Days begins with the first
	// day that was not listed completely. After any other error, Run assumes
	// that no day was listed completely.
	List(ctx context.Context, d plural.Days) iter.Seq2[*plural.Settlement, error]
	// The method Lines reads the document of a settlement that was listed. It
	// calls the function give once for each line of the settlement. Then it
	// returns the document without the lines. If give returns an error, the
	// method stops, and returns that error. After any error, Run assumes that
	// lines are missing. If the method returns an error, the document may be
	// nil.
	Lines(
		ctx context.Context, of *plural.Settlement, give func(*plural.SettlementLine) error,
	) (*plural.SettlementDetail, error)
	// Order reads an order or a refund by its id, or by its reference if the id
	// is "". If there is no such order, the error is [plural.ErrNotFound].
	Order(ctx context.Context, orderID, reference string) (*plural.Order, error)
}

// FromClient makes a Reader that reads from Plural.
func FromClient(c *plural.Client) Reader { return fromClient{c} }

type fromClient struct{ c *plural.Client }

func (r fromClient) List(ctx context.Context, d plural.Days) iter.Seq2[*plural.Settlement, error] {
	return r.c.Settlements.List(ctx, d)
}

// mostLines is the largest number of lines that Settlements.Get keeps.
const mostLines = 10_000

func (r fromClient) Lines(
	ctx context.Context,
	of *plural.Settlement,
	give func(*plural.SettlementLine) error,
) (*plural.SettlementDetail, error) {
	if of.TotalTransactionsCount > mostLines {
		return r.manyLines(ctx, of.UTRNumber, give)
	}
	head, err := r.c.Settlements.Get(ctx, of.UTRNumber)
	if head == nil {
		return nil, err
	}
	lines := head.Transactions
	head.Transactions = nil
	for i := range lines {
		if stop := give(&lines[i]); stop != nil {
			return head, stop
		}
	}
	return head, err
}

// manyLines reads lines page by page, and the settlement's figures in a
// separate request.
func (r fromClient) manyLines(
	ctx context.Context,
	utr string,
	give func(*plural.SettlementLine) error,
) (*plural.SettlementDetail, error) {
	for l, err := range r.c.Settlements.Lines(ctx, utr) {
		if err == nil {
			err = give(l)
		}
		if err != nil {
			return nil, err
		}
	}
	head := new(plural.SettlementDetail)
	err := r.c.Do(ctx, http.MethodGet, "/api/settlements/v1/detail/"+url.PathEscape(utr), nil, head)
	if err != nil || head.UTRNumber != utr {
		return nil, nil //nolint:nilnil // the lines were read, but the settlement's figures were not
	}
	head.Transactions = nil
	return head, nil
}

func (r fromClient) Order(ctx context.Context, orderID, reference string) (*plural.Order, error) {
	if orderID == "" {
		return r.c.Orders.GetByReference(ctx, reference)
	}
	return r.c.Orders.Get(ctx, orderID)
}
