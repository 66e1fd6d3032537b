// Command merchant stands for a merchant's backend: it imports the package as a
// merchant does and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/plural-go/plural"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: merchant ORDER-ID CAPTURE-REFERENCE")
	}
	client, err := plural.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(capture(ctx, client, os.Args[1], os.Args[2]))
}

// capture takes the whole hold of an order and reports the result.
func capture(ctx context.Context, client *plural.Client, orderID, reference string) string {
	order, err := client.Captures.Create(ctx, orderID, &plural.CaptureRequest{
		MerchantCaptureReference: reference,
		FullAmount:               true,
	})
	switch {
	case err == nil:
	case errors.Is(err, plural.ErrNotApplied), errors.Is(err, plural.ErrConflict):
		return "final: " + err.Error()
	default:
		return "not known yet: call again with the same reference: " + err.Error()
	}
	captured, ok := order.CapturedAmount()
	if !ok {
		return "captured"
	}
	return "captured " + captured.String()
}
