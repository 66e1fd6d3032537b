package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/plural-go/plural/reconcile"
)

// loadState reads the state that the last run has saved. If there is no file,
// this is the first run.
func loadState(name string) (state reconcile.State, err error) {
	if name == "" {
		return state, nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // the operator chooses the file
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	if err := decodeState(text, &state); err != nil {
		return reconcile.State{}, fmt.Errorf("%s has no valid state; correct or remove the file: %w", name, err)
	}
	return state, nil
}

// decodeState decodes a state. It returns an error if the text has unknown
// fields, or if more text follows the JSON document of the state. So the
// program does not overwrite a file of another kind, or the state of a newer
// version.
func decodeState(text []byte, state *reconcile.State) error {
	if err := json.Unmarshal(text, new(reconcile.State)); err != nil {
		return err // the text is not exactly one JSON document
	}
	from := json.NewDecoder(bytes.NewReader(text))
	from.DisallowUnknownFields()
	return from.Decode(state)
}

// saveState writes the state. If that fails, the old file does not change.
func saveState(name string, state reconcile.State) error {
	if name == "" {
		return nil
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return finish(f, name, err)
}

// finish gives a temporary file its final name if all went well. Otherwise it
// removes the file.
func finish(f *os.File, name string, err error) error {
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
