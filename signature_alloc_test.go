package plural_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The race detector makes sync.Pool forget things at random, so this cannot be
// measured under it.
//
//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestVerifyWebhookSignatureDoesNotAllocate(t *testing.T) {
	skipUnderRace(t)
	v := webhookVerifier(t)
	good, body := goodWebhook(webhookBody)
	forged, tampered := good.Clone(), append([]byte(nil), body...)
	tampered[0] = '['
	forged.Set("Webhook-Signature", "v1,x")
	stale, _ := signedWebhook([]byte(signatureSecret), 0, webhookBody)
	eight := good.Clone()
	one := good.Get("Webhook-Signature")
	eight.Set("Webhook-Signature", one+" "+one+" "+one+" "+one+" "+one+" "+one+" "+one+" "+one)

	require.NoError(t, v.VerifyWebhookSignature(good, body))
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(good, body) }), "accepted")
	require.NoError(t, v.VerifyWebhookSignature(eight, body))
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(eight, body) }), "eight signatures")
	require.ErrorIs(t, v.VerifyWebhookSignature(good, tampered), plural.ErrInvalidSignature)
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(good, tampered) }), "mismatch")
	require.ErrorIs(t, v.VerifyWebhookSignature(forged, body), plural.ErrInvalidSignature)
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(forged, body) }), "malformed")
	require.ErrorIs(t, v.VerifyWebhookSignature(stale, body), plural.ErrStaleTimestamp)
	require.Zero(t, testing.AllocsPerRun(500, func() { _ = v.VerifyWebhookSignature(stale, body) }), "stale")
}

//nolint:paralleltest // AllocsPerRun counts what other tests allocate, too
func TestVerifyCallbackAllocatesLittle(t *testing.T) {
	skipUnderRace(t)
	v := mustVerifier(t, signatureSecret)
	form := goodForm(t)
	require.LessOrEqual(
		t,
		testing.AllocsPerRun(500, func() { _, _ = v.VerifyCallback(form) }),
		5.0,
		"the callback, its map (two), and each of the two values that are kept",
	)
}

//nolint:paralleltest // it measures memory
func TestMemoryIsFlatOverVerifications(t *testing.T) {
	skipUnderRace(t)
	v := webhookVerifier(t)
	header, body := goodWebhook(webhookBody)
	form := goodForm(t)
	callbacks := mustVerifier(t, signatureSecret)
	heap := func() uint64 {
		for range 100_000 {
			_ = v.VerifyWebhookSignature(header, body)
		}
		for range 10_000 {
			_, _ = v.VerifyWebhook(header, body)
			_, _ = callbacks.VerifyCallback(form)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	early, late := heap(), uint64(0)
	for range 9 { // a million signatures in all
		late = heap()
	}
	require.Less(t, late, early+256<<10)
}

func BenchmarkVerifyWebhookSignature(b *testing.B) {
	v := webhookVerifier(b)
	header, body := goodWebhook(webhookBody)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.VerifyWebhookSignature(header, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyWebhook(b *testing.B) {
	v := webhookVerifier(b)
	header, body := goodWebhook(webhookBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.VerifyWebhook(header, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCallback(b *testing.B) {
	v := mustVerifier(b, signatureSecret)
	form := goodForm(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.VerifyCallback(form); err != nil {
			b.Fatal(err)
		}
	}
}
