// Command apicheck compares the exported API of a module's importable packages
// with golden files, one file per package.
//
//	apicheck -golden api .            # fails and prints what was added and removed
//	apicheck -golden api -update .    # rewrites the golden files
//
// Each argument is the directory of a module. apicheck leaves out internal
// packages and programs.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/types"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	golden := flag.String("golden", "api", "directory of the golden files")
	update := flag.Bool("update", false, "rewrite the golden files")
	flag.Parse()
	modules := flag.Args()
	if len(modules) == 0 {
		modules = []string{"."}
	}
	if err := run(os.Stdout, *golden, *update, modules); err != nil {
		fmt.Fprintln(os.Stderr, "apicheck:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, golden string, update bool, modules []string) error {
	apis := make(map[string][]byte)
	for _, dir := range modules {
		pkgs, err := loadPackages(dir)
		if err != nil {
			return err
		}
		for _, pkg := range pkgs {
			file := fileName(pkg)
			if _, taken := apis[file]; taken {
				return fmt.Errorf("two packages have the same golden file %s", file)
			}
			apis[file] = render(pkg.Types)
		}
	}
	if len(apis) == 0 {
		return errors.New("no importable package found")
	}
	if update {
		return write(golden, apis)
	}
	return compare(out, golden, apis)
}

// loadPackages loads the importable packages of the module in dir, and checks
// their types. It loads the packages for linux/amd64, so the result is the same
// on every machine. It leaves out packages that have only tests.
func loadPackages(dir string) ([]*packages.Package, error) {
	cfg := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedModule | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedTypesInfo | packages.NeedSyntax,
		Dir: dir,
		Env: append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0"),
	}
	found, err := packages.Load(cfg, "./...")
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", dir, err)
	}
	var public []*packages.Package
	for _, pkg := range found {
		for _, broken := range pkg.Errors {
			err = errors.Join(err, broken)
		}
		if pkg.Name == "main" || slices.Contains(strings.Split(pkg.PkgPath, "/"), "internal") {
			continue
		}
		if len(pkg.GoFiles) == 0 {
			continue // tests only
		}
		public = append(public, pkg)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", dir, err)
	}
	return public, nil
}

// fileName names the golden file after the package and the directories that
// lead to it: plural.txt, pluraltest.txt, contrib-redisstore.txt.
func fileName(pkg *packages.Package) string {
	name := pkg.Name
	if _, rest, ok := strings.Cut(pkg.PkgPath, "/plural/"); ok {
		name = strings.ReplaceAll(rest, "/", "-")
	}
	return name + ".txt"
}

// render writes one line for each exported name, field and method. The lines
// are sorted, so a change shows as added and removed lines.
func render(pkg *types.Package) []byte {
	p := printer{qualify: types.RelativeTo(pkg)}
	scope := pkg.Scope()
	for _, name := range scope.Names() {
		if obj := scope.Lookup(name); obj.Exported() {
			p.object(obj)
		}
	}
	slices.Sort(p.lines)
	var b bytes.Buffer
	fmt.Fprintf(&b, "package %s // import %q\n\n", pkg.Name(), pkg.Path())
	for _, line := range p.lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func write(golden string, apis map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(golden, "*.txt"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, still := apis[filepath.Base(path)]; !still {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(golden, 0o755); err != nil {
		return err
	}
	for file, api := range apis {
		if err := os.WriteFile(filepath.Join(golden, file), api, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func compare(out io.Writer, golden string, apis map[string][]byte) error {
	want := make(map[string][]byte)
	files, err := filepath.Glob(filepath.Join(golden, "*.txt"))
	if err != nil {
		return err
	}
	for _, path := range files {
		if want[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	names := make(map[string]bool)
	for file := range want {
		names[file] = true
	}
	for file := range apis {
		names[file] = true
	}
	changed := false
	for _, file := range slices.Sorted(maps.Keys(names)) {
		removed, added := extraLines(want[file], apis[file]), extraLines(apis[file], want[file])
		if len(removed)+len(added) == 0 {
			continue
		}
		changed = true
		fmt.Fprintf(out, "%s:\n", filepath.Join(golden, file))
		for _, line := range removed {
			fmt.Fprintf(out, "  - %s\n", line)
		}
		for _, line := range added {
			fmt.Fprintf(out, "  + %s\n", line)
		}
	}
	if changed {
		return errors.New(
			"the exported API differs from its golden files; if you intend the change, run make api and commit the result",
		)
	}
	return nil
}

// extraLines returns the lines of the text that are not in the other text. It
// leaves out blank lines.
func extraLines(text, other []byte) []string {
	have := make(map[string]bool)
	for line := range strings.Lines(string(other)) {
		have[line] = true
	}
	var only []string
	for line := range strings.Lines(string(text)) {
		if !have[line] && strings.TrimSpace(line) != "" {
			only = append(only, strings.TrimSuffix(line, "\n"))
		}
	}
	return only
}
