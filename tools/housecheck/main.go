// Command housecheck checks that the files of the root package depend on each
// other in one direction. A file may use the files above it in the drawing in
// CONTRIBUTING.md, and never the files below it.
//
//	housecheck -drawing CONTRIBUTING.md .
package main

import (
	"errors"
	"flag"
	"fmt"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// The drawing is the code block after this line.
const opening = "<!-- the house, bottom up -->"

func main() {
	drawing := flag.String("drawing", "CONTRIBUTING.md", "the `file` with the drawing")
	flag.Parse()
	if err := run(*drawing, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(drawing, pattern string) error {
	text, err := os.ReadFile(drawing)
	if err != nil {
		return err
	}
	positions, err := readDrawing(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", drawing, err)
	}
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes |
			packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
	}, pattern)
	if err != nil {
		return err
	}
	if len(loaded) != 1 {
		return fmt.Errorf("%s matches %d packages, and not one", pattern, len(loaded))
	}
	if len(loaded[0].Errors) > 0 {
		return fmt.Errorf("%s does not load: %v", pattern, loaded[0].Errors)
	}
	p := loaded[0]
	var found []error
	for _, f := range p.GoFiles {
		if name := filepath.Base(f); !positions.has(name) {
			found = append(found, fmt.Errorf("%s is not in the drawing", name))
		}
	}
	for _, a := range listArrows(p.Fset, p.Types, p.TypesInfo) {
		if positions.has(a.from) && positions.has(a.to) && positions[a.to] > positions[a.from] {
			found = append(found, fmt.Errorf("%s: %s uses %s, which is declared below it, in %s", a.at, a.from, a.what, a.to))
		}
	}
	return errors.Join(found...)
}

// filePositions has the position of each file in the drawing. The first file
// has the position 0, the next file has the position 1, and so on. A file may
// use only files with a lower position. So it may use the files above it, and
// the files to its left on the same line.
type filePositions map[string]int

func (p filePositions) has(file string) bool {
	_, ok := p[file]
	return ok
}

// readDrawing reads the code block after the opening line. From each line it
// takes the leading words that end in .go.
func readDrawing(text string) (filePositions, error) {
	_, after, found := strings.Cut(text, opening)
	if !found {
		return nil, errors.New("has no line " + opening)
	}
	positions := filePositions{}
	inBlock := false
	for line := range strings.SplitSeq(after, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if !strings.HasPrefix(line, "    ") {
			if inBlock {
				break
			}
			continue
		}
		inBlock = true
		for word := range strings.FieldsSeq(line) {
			if !strings.HasSuffix(word, ".go") {
				break
			}
			if positions.has(word) {
				return nil, errors.New(word + " is in the drawing twice")
			}
			positions[word] = len(positions)
		}
	}
	if len(positions) == 0 {
		return nil, errors.New("has no drawing after " + opening)
	}
	return positions, nil
}

// arrow records that one file uses something that another file declares.
type arrow struct{ from, to, what, at string }

// listArrows returns an arrow for each name that a file uses and another file
// declares. If a file uses a name several times, there is only one arrow.
func listArrows(fset *token.FileSet, p *types.Package, info *types.Info) []arrow {
	seen := map[[3]string]bool{}
	var out []arrow
	for id, obj := range info.Uses {
		if obj.Pkg() != p || !obj.Pos().IsValid() {
			continue
		}
		at := fset.Position(id.Pos())
		from, to := filepath.Base(at.Filename), filepath.Base(fset.Position(obj.Pos()).Filename)
		key := [3]string{from, to, obj.Name()}
		if from == to || seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, arrow{from, to, obj.Name(), fmt.Sprintf("%s:%d", from, at.Line)})
	}
	slices.SortFunc(out, func(a, b arrow) int { return strings.Compare(a.at+a.what, b.at+b.what) })
	return out
}
