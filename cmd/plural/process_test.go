package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural/pluraltest"
)

// switchesVariable is the name of an environment variable. If the variable is
// set, this test binary runs as an emulator. The value of the variable says
// which answers the emulator gives.
const switchesVariable = "EMULATOR_SWITCHES"

// everySwitch returns one answer for each question that a run asks on an
// account without settlements and without a kept hold. None of these answers is
// the answer that the package assumes. One emulator gives all of these answers,
// so they must fit together. Some answers exclude each other. The answers to
// some questions depend on the answer to another question.
func everySwitch() map[string]string {
	return map[string]string{
		"token.lifetime":     "expires_in",
		"token.second":       "is refused",
		"token.wrong-secret": "error, error_description",
		"order.duplicate":    "refused",
		"order.other-amount": "refused",
		"order.lag":          "later",
		"order.not-found":    "404 ORDER_NOT_FOUND",
		"order.products":     "products is kept",
		"cancel.unpaid":      "CANCELLED",
		"link.duplicate":     "refused",

		"link.reference-in-order": "has the link's",

		"limits":               "elsewhere",
		"http.answers":         "no Date",
		"callback.key":         "characters",
		"callback.fields":      "payment_status",
		"webhook.key":          "hex",
		"refund.of-hold":       "400 INVALID_REQUEST",
		"capture.above-hold":   "422 OPERATION_NOT_ALLOWED",
		"cancel.twice":         "the unchanged order",
		"capture.after-cancel": "422 OPERATION_NOT_ALLOWED",
		"capture.document":     "PROCESSED, our reference later",
		"capture.same-again":   "422 DUPLICATE_REQUEST",
		"capture.other-again":  "it takes more",
		"capture.two-at-once":  "both go through",
		"refund.duplicate":     "a second one",
		"refund.two-at-once":   "two refunds",
		"refund.listed":        "later",
		"refund.above-rest":    "422 OPERATION_NOT_ALLOWED",
		"webhook.again":        "with the first stamp",
	}
}

// dependentQuestions lists questions whose answers depend on the answer to
// another question. So these questions need no options of their own.
var dependentQuestions = []string{"order.other-amount", "capture.two-at-once", "refund.two-at-once", "refund.listed"}

// emulationOf describes an emulator that gives all these answers.
func emulationOf(answers map[string]string) emulation {
	var sum emulation
	var faults []func(pluraltest.Request) pluraltest.Fault
	others := otherAnswers()
	for _, dependent := range dependentQuestions {
		delete(others, dependent)
	}
	for question, byAnswer := range others {
		one := byAnswer[answers[question]]
		sum.opts = append(sum.opts, one.opts...)
		sum.quirks |= one.quirks
		if one.faults != nil {
			faults = append(faults, one.faults)
		}
	}
	sum.faults = func(r pluraltest.Request) pluraltest.Fault {
		met := pluraltest.NoFault
		for _, fault := range faults {
			// There may be two faults for one request. One of them refuses the
			// request, and the other removes a part of the answer's document.
			// Then the test uses the fault that refuses the request, because
			// the answer to a refused request has no document.
			if f := fault(r); f != pluraltest.NoFault && met.Status == 0 {
				met = f
			}
		}
		return met
	}
	return sum
}

// The type endpoint is the address of an emulator, with its account's
// credentials.
type endpoint struct{ URL, ClientID, ClientSecret string }

// The function emulate does the work of the second process. It runs an emulator
// until its input ends.
func emulate() {
	var wanted struct {
		Answers    map[string]string
		WebhookURL string
	}
	if err := json.Unmarshal([]byte(os.Getenv(switchesVariable)), &wanted); err != nil {
		panic(err)
	}
	emulator := emulationOf(wanted.Answers)
	srv, err := pluraltest.Start(append(emulator.serverOptions(), pluraltest.WithWebhookURL(wanted.WebhookURL))...)
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	if err := json.NewEncoder(os.Stdout).Encode(endpoint{srv.URL, srv.ClientID, srv.ClientSecret}); err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestEverySwitchInAnotherProcess runs the probe against an emulator in another
// process. The two processes share only the network. The probe must report
// exactly the answers that the emulator was started with.
func TestEverySwitchInAnotherProcess(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())

	switches, err := json.Marshal(map[string]any{
		"Answers": everySwitch(), "WebhookURL": "http://" + address + "/webhook",
	})
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	emulator := exec.Command(self)
	emulator.Env = append(os.Environ(), switchesVariable+"="+string(switches))
	emulator.Stderr = os.Stderr
	input, err := emulator.StdinPipe()
	require.NoError(t, err)
	output, err := emulator.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, emulator.Start())
	t.Cleanup(func() { _ = input.Close(); _ = emulator.Wait() })
	line, err := bufio.NewReader(output).ReadBytes('\n')
	require.NoError(t, err)
	var at endpoint
	require.NoError(t, json.Unmarshal(line, &at))

	run := startProgram(t, []string{
		"PLURAL_BASE_URL=" + at.URL, "PLURAL_CLIENT_ID=" + at.ClientID, "PLURAL_CLIENT_SECRET=" + at.ClientSecret,
	}, "probe", "--json", "report.json", "--listen", address, "--pace", "100ms", "--patience", "5s")
	startPayer(t, run, nil)
	exitCode, shown := run.wait()
	require.Zero(t, exitCode, shown)
	encoded, err := os.ReadFile(filepath.Join(run.cmd.Dir, "report.json"))
	require.NoError(t, err)
	require.NotContains(t, string(encoded), at.ClientSecret)
	var r reported
	require.NoError(t, json.Unmarshal(encoded, &r))
	require.Equal(t, everySwitch(), r.answersByID())
	require.Len(t, everySwitch(), len(assumedAnswers()), "a question has no switch")
	require.Contains(t, shown, fmt.Sprintf("0 as assumed, %d differ", len(everySwitch())))
}
