// Command covercheck reads a coverage profile, and prints the share of covered
// statements for each file. It also reads a list of areas. An area is a group
// of files with a minimum coverage. If an area does not reach its minimum,
// covercheck fails.
//
//	covercheck -profile coverage.out -areas tools/coverage.txt
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/cover"
)

const module = "github.com/plural-go/plural/"

func main() {
	profile := flag.String("profile", "coverage.out", "the `file` that go test -coverprofile wrote")
	areas := flag.String("areas", "", "the `file` with the areas and the coverage that each must have")
	flag.Parse()
	if err := run(os.Stdout, *profile, *areas); err != nil {
		fmt.Fprintln(os.Stderr, "covercheck:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, profilePath, areasPath string) error {
	profile, err := os.Open(profilePath)
	if err != nil {
		return err
	}
	defer profile.Close()
	files, err := parseProfile(profile)
	if err != nil {
		return fmt.Errorf("%s: %w", profilePath, err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(out, "%6.1f%%  %s\n", files[name].percent(), name)
	}
	list, err := os.Open(areasPath)
	if err != nil {
		return err
	}
	defer list.Close()
	areas, err := parseAreas(list)
	if err != nil {
		return fmt.Errorf("%s: %w", areasPath, err)
	}
	fmt.Fprintln(out)
	return check(out, files, areas)
}

// tally counts statements.
type tally struct{ covered, total int }

func (t tally) percent() float64 {
	if t.total == 0 {
		return 100
	}
	return 100 * float64(t.covered) / float64(t.total)
}

// parseProfile counts each block once. A block is covered if any of the test
// binaries ran it.
func parseProfile(r io.Reader) (map[string]tally, error) {
	profiles, err := cover.ParseProfilesFromReader(r)
	if err != nil {
		return nil, err
	}
	files := make(map[string]tally)
	for _, p := range profiles {
		var t tally
		for _, b := range p.Blocks {
			t.total += b.NumStmt
			if b.Count > 0 {
				t.covered += b.NumStmt
			}
		}
		files[strings.TrimPrefix(p.FileName, module)] = t
	}
	return files, nil
}

// area is a group of files. The field minimum is the percentage of the files'
// statements that the tests must cover.
type area struct {
	name     string
	minimum  float64
	patterns []string
}

// parseAreas reads lines of the form "name minimum pattern...". If a pattern
// ends in a slash, the pattern is a directory. Otherwise the pattern is a file.
func parseAreas(r io.Reader) ([]area, error) {
	var areas []area
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("want a name, a minimum and files: %q", lines.Text())
		}
		minimum, err := strconv.ParseFloat(fields[1], 64)
		if err != nil {
			return nil, fmt.Errorf("minimum of %s: %w", fields[0], err)
		}
		areas = append(areas, area{fields[0], minimum, fields[2:]})
	}
	return areas, lines.Err()
}

func (a area) holds(file string) bool {
	return slices.ContainsFunc(a.patterns, func(pattern string) bool {
		return file == pattern ||
			strings.HasSuffix(pattern, "/") && strings.HasPrefix("./"+file, "./"+strings.TrimPrefix(pattern, "./"))
	})
}

func check(out io.Writer, files map[string]tally, areas []area) error {
	var failures error
	for _, a := range areas {
		var sum tally
		for name, t := range files {
			if a.holds(name) {
				sum.covered += t.covered
				sum.total += t.total
			}
		}
		fmt.Fprintf(
			out, "%6.1f%%  of %d statements in %s, at least %.0f%% wanted\n", sum.percent(), sum.total, a.name, a.minimum,
		)
		switch {
		case sum.total == 0:
			failures = errors.Join(failures, fmt.Errorf("%s: the profile has no file of this area", a.name))
		case sum.percent() < a.minimum:
			failures = errors.Join(failures, fmt.Errorf("%s: %.1f%% is below %.0f%%", a.name, sum.percent(), a.minimum))
		}
	}
	return failures
}
