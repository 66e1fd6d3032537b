package main

import (
	"fmt"
	"go/types"
	"strings"
)

type printer struct {
	qualify types.Qualifier
	lines   []string
}

func (p *printer) line(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

func (p *printer) text(t types.Type) string { return types.TypeString(t, p.qualify) }

func (p *printer) object(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Const:
		p.line("const %s %s = %s", obj.Name(), p.text(obj.Type()), obj.Val().ExactString())
	case *types.Var:
		p.line("var %s %s", obj.Name(), p.text(obj.Type()))
	case *types.Func:
		p.line("func %s%s", obj.Name(), p.signature(obj))
	case *types.TypeName:
		p.typeName(obj)
	}
}

func (p *printer) signature(f *types.Func) string {
	return strings.TrimPrefix(p.text(f.Type()), "func")
}

func (p *printer) typeName(obj *types.TypeName) {
	if alias, ok := obj.Type().(*types.Alias); ok {
		p.line("type %s%s = %s", obj.Name(), p.params(alias.TypeParams()), p.text(alias.Rhs()))
		return
	}
	named, ok := obj.Type().(*types.Named)
	if !ok {
		return
	}
	name := obj.Name() + p.params(named.TypeParams())
	switch under := named.Underlying().(type) {
	case *types.Struct:
		p.line("type %s struct%s", name, p.comparableNote(named))
		p.fields(obj.Name(), under)
	case *types.Interface:
		p.interfaceType(name, under)
	default:
		p.line("type %s %s", name, p.text(under))
	}
	p.addMethods(obj.Name(), named)
}

// comparableNote returns a note if values of a struct can be compared with ==.
// The golden file needs this note. A struct with a new unexported field may not
// be comparable any more. Then a caller's code that compares two values does
// not compile, although no exported field or method has changed.
func (p *printer) comparableNote(named *types.Named) string {
	if types.Comparable(named) {
		return " // comparable"
	}
	return ""
}

func (p *printer) params(list *types.TypeParamList) string {
	if list.Len() == 0 {
		return ""
	}
	all := make([]string, list.Len())
	for i := range all {
		all[i] = list.At(i).Obj().Name() + " " + p.text(list.At(i).Constraint())
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (p *printer) fields(owner string, s *types.Struct) {
	for field := range s.Fields() {
		embedded := ""
		if field.Embedded() {
			embedded = " // embedded"
		}
		if field.Exported() {
			p.line("type %s struct, %s %s%s", owner, field.Name(), p.text(field.Type()), embedded)
			continue
		}
		if inner, ok := structOf(field.Type()); ok && field.Embedded() {
			p.fields(owner, inner) // an embedded unexported struct adds its exported fields
		}
	}
}

func structOf(t types.Type) (*types.Struct, bool) {
	if ptr, ok := t.(*types.Pointer); ok {
		t = ptr.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	return s, ok
}

func (p *printer) interfaceType(name string, i *types.Interface) {
	sealed := ""
	for m := range i.Methods() {
		if !m.Exported() {
			sealed = " // with unexported methods"
		}
	}
	p.line("type %s interface%s", name, sealed)
	for m := range i.ExplicitMethods() {
		if m.Exported() {
			p.line("type %s interface, %s%s", name, m.Name(), p.signature(m))
		}
	}
	for e := range i.EmbeddedTypes() {
		p.line("type %s interface, %s // embedded", name, p.text(e))
	}
}

// addMethods adds a line for each method that a caller can call. It leaves out
// the methods of an embedded exported field.
func (p *printer) addMethods(owner string, named *types.Named) {
	if types.IsInterface(named) {
		return
	}
	values := types.NewMethodSet(named)
	all := types.NewMethodSet(types.NewPointer(named))
	for sel := range all.Methods() {
		f, ok := sel.Obj().(*types.Func)
		if !ok || !f.Exported() || announced(named, sel) {
			continue
		}
		receiver := "*" + owner
		if values.Lookup(f.Pkg(), f.Name()) != nil {
			receiver = owner
		}
		p.line("method (%s) %s%s", receiver, f.Name(), p.signature(f))
	}
}

func announced(named *types.Named, sel *types.Selection) bool {
	if len(sel.Index()) == 1 {
		return false
	}
	s, ok := named.Underlying().(*types.Struct)
	return ok && s.Field(sel.Index()[0]).Exported()
}
