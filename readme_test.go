package plural_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/plural-go/plural"
)

// The Go code of README.md and docs/ must also be in an Example with checked
// output, or in the tests of testdata/consumer. Only tokens are compared, so
// layout and comments may differ. A comment that begins with "// ..." stands
// for the reader's own code. An Example or a test may check errors between two
// steps, and a snippet may leave such checks out.
func TestSnippetsAreExamples(t *testing.T) {
	t.Parallel()
	examples := exampleBodies(t)
	for _, page := range []string{"README.md", "docs/cookbook.md", "docs/pluraltest.md"} {
		for _, snippet := range snippets(t, page) {
			pieces := goPieces(snippet)
			require.NotEmpty(t, pieces, "%s has an empty code block", page)
			require.True(t, standsIn(examples, pieces), "%s: no Example has this code:\n%s", page, snippet)
		}
	}
}

// If one name in a snippet of README.md is changed, the test notices that no
// Example has this code.
func TestSnippetsThatDriftAreFound(t *testing.T) {
	t.Parallel()
	examples := exampleBodies(t)
	for _, snippet := range snippets(t, "README.md") {
		pieces := goPieces(snippet)
		for _, piece := range pieces {
			for i, word := range piece {
				if !token.IsIdentifier(word) {
					continue
				}
				piece[i] = word + "2"
				require.False(t, standsIn(examples, pieces), "%s in place of %s:\n%s", piece[i], word, snippet)
				piece[i] = word
			}
		}
	}
	swapped := goPieces("order, err := client.Orders.Get(ctx, orderID)\n// ...\nsrv, client := emulator()")
	require.False(t, standsIn(examples, swapped), "pieces in another order")
}

// The cookbook's table has each ErrorCode once, with the meaning that
// ErrorCode.Text gives.
func TestCookbookHasEachErrorCode(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "error_code.go", nil, 0)
	require.NoError(t, err)
	var want []string
	for _, spec := range constants(file) {
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "ErrorCode" {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			want = append(want, code+": "+plural.ErrorCode(code).Text())
		}
	}
	require.NotEmpty(t, want)
	page, err := os.ReadFile("docs/cookbook.md")
	require.NoError(t, err)
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (.+?) \\| .+ \\|$").FindAllSubmatch(page, -1) {
		got = append(got, string(row[1])+": "+string(row[2]))
	}
	require.Equal(t, want, got)
}

func constants(file *ast.File) (specs []*ast.ValueSpec) {
	for _, decl := range file.Decls {
		if group, ok := decl.(*ast.GenDecl); ok && group.Tok == token.CONST {
			for _, spec := range group.Specs {
				specs = append(specs, spec.(*ast.ValueSpec))
			}
		}
	}
	return specs
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

func snippets(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var found []string
	for _, block := range goBlock.FindAllSubmatch(text, -1) {
		found = append(found, string(block[1]))
	}
	require.NotEmpty(t, found, page)
	return found
}

// exampleBodies returns the tokens of each function body that may contain a
// snippet.
func exampleBodies(t *testing.T) [][]string {
	t.Helper()
	var bodies [][]string
	add := func(path string, pick func(*ast.File) []ast.Node) {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, source, parser.ParseComments)
		require.NoError(t, err)
		for _, body := range pick(file) {
			pieces := goPieces(string(source[set.Position(body.Pos()).Offset:set.Position(body.End()).Offset]))
			bodies = append(bodies, slices.Concat(pieces...))
		}
	}
	paths, err := filepath.Glob("example*_test.go")
	require.NoError(t, err)
	for _, path := range paths {
		add(path, func(file *ast.File) (found []ast.Node) {
			for _, example := range doc.Examples(file) {
				require.NotEmpty(t, example.Output, "%s: %s has no Output comment, so go test does not run it", path, example.Name)
				found = append(found, example.Code)
			}
			return found
		})
	}
	add("testdata/consumer/main_test.go", func(file *ast.File) (found []ast.Node) {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				found = append(found, f.Body)
			}
		}
		return found
	})
	return bodies
}

// goPieces returns the tokens of Go code. A "// ..." comment means that code
// was left out, and a new piece begins after it. Semicolons and commas before a
// closing bracket are dropped, because they depend on the line breaks.
func goPieces(code string) [][]string {
	var pieces [][]string
	var piece []string
	end := func() {
		piece = withoutErrorChecks(piece)
		if n := len(piece); n > 0 && piece[n-1] == ";" {
			piece = piece[:n-1]
		}
		if len(piece) > 0 {
			pieces = append(pieces, piece)
		}
		piece = nil
	}
	files := token.NewFileSet()
	var s scanner.Scanner
	s.Init(files.AddFile("", files.Base(), len(code)), []byte(code), nil, scanner.ScanComments)
	for {
		switch _, tok, text := s.Scan(); {
		case tok == token.EOF:
			end()
			return pieces
		case tok == token.COMMENT:
			if strings.HasPrefix(text, "// ...") {
				end()
			}
		case tok == token.SEMICOLON:
			piece = append(piece, ";")
		case tok == token.RPAREN || tok == token.RBRACE:
			if n := len(piece); n > 0 && (piece[n-1] == "," || piece[n-1] == ";") {
				piece = piece[:n-1]
			}
			piece = append(piece, tok.String())
		case text != "":
			piece = append(piece, text)
		default:
			piece = append(piece, tok.String())
		}
	}
}

// withoutErrorChecks leaves out the code with which an Example, or a test,
// checks each error.
func withoutErrorChecks(words []string) []string {
	for _, check := range []string{
		"if err != nil { fmt . Println ( err ) ; return } ;",
		"if err != nil { t . Fatal ( err ) } ;",
	} {
		pattern := strings.Fields(check)
		for i := index(words, pattern); i >= 0; i = index(words, pattern) {
			words = slices.Delete(words, i, i+len(pattern))
		}
	}
	return words
}

// standsIn reports whether at least one of the bodies has all the pieces, in
// the given order. There may be other code between two pieces.
func standsIn(bodies, pieces [][]string) bool {
	return slices.ContainsFunc(bodies, func(body []string) bool {
		for _, piece := range pieces {
			i := index(body, piece)
			if i < 0 {
				return false
			}
			body = body[i+len(piece):]
		}
		return true
	})
}

func index(words, of []string) int {
	for i := 0; i+len(of) <= len(words); i++ {
		if slices.Equal(words[i:i+len(of)], of) {
			return i
		}
	}
	return -1
}

// TestThreatModelNamesRealTests checks that each line of the tables in
// SECURITY.md names a test, and that these tests exist.
func TestThreatModelNamesRealTests(t *testing.T) {
	t.Parallel()
	exists := map[string]bool{}
	for _, pattern := range []string{
		"*_test.go", "internal/*/*_test.go", "contrib/*/*_test.go", "examples/*/*_test.go", "printtest/*_test.go",
		"adversary/*_test.go", "agreement/*_test.go", "hostile/*_test.go",
	} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
				exists[string(found[1])] = true
			}
		}
	}
	page, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	lines := regexp.MustCompile(`(?m)^\| .*\|$`).FindAllString(string(page), -1)
	require.NotEmpty(t, lines)
	for _, line := range lines {
		named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(line, -1)
		if regexp.MustCompile(`^\| (Threat|Entry point|Version|0\.x|older)`).MatchString(line) {
			continue
		}
		require.NotEmpty(t, named, "a line without a test: %s", line)
		for _, name := range named {
			require.True(t, exists[name[1]], "there is no %s", name[1])
		}
	}
}
