// Command _asm writes the amd64 assembly of package kernel with avo: for each entry of files a triple
// NAME_amd64.s, stubs_amd64_NAME.go (declarations) and stubs_other_NAME.go (bodies that panic, for builds without
// assembly, where no call is ever reached). Run it in its own folder: go run .
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
	"github.com/mmcloughlin/avo/reg"
)

// files is the registry: one line for each generator file.
var files = []struct {
	name     string
	generate func(c *asm)
}{
	{"pause", pauseFile},
	{"panel", panelFile},
	{"int", intFile},
	{"intavx2", intAVX2File},
	{"intquantize", intQuantizeFile},
	{"intfit", intFitFile},
	{"intline", intLineFile},
	{"bf16", bf16File},
	{"pack", packFile},
	{"elementwise", elementwiseFile},
	{"reduce", reduceFile},
	{"exp", expFile},
	{"convert", convertFile},
	{"limits", limitsFile},
}

func main() {
	log.SetFlags(0)
	for _, f := range files {
		if err := write(f.name, f.generate); err != nil {
			log.Fatalf("%s: %v", f.name, err)
		}
	}
}

// write runs one generator and writes its three files to the parent folder.
func write(name string, generate func(c *asm)) error {
	c := &asm{Context: build.NewContext(), name: name, consts: map[uint32]operand.Mem{}}
	c.ConstraintExpr("!noasm")
	generate(c)
	f, err := c.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(f); err != nil {
		return err
	}
	cfg := printer.Config{Name: "kernel/_asm", Pkg: "kernel"}
	source, err := printer.NewGoAsm(cfg).Print(f)
	if err != nil {
		return err
	}
	stubs, err := printer.NewStubs(cfg).Print(f)
	if err != nil {
		return err
	}
	other, err := otherStubs(cfg, f)
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{
		name + "_amd64.s":             source,
		"stubs_amd64_" + name + ".go": bytes.Replace(stubs, []byte("build !noasm"), []byte("build amd64 && !noasm"), 1),
		"stubs_other_" + name + ".go": other,
	} {
		if err := os.WriteFile(filepath.Join("..", file), content, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// otherStubs is the file for builds without assembly.
func otherStubs(cfg printer.Config, f *ir.File) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "// %s\n\n//go:build noasm || !amd64\n\npackage %s\n", cfg.GeneratedWarning(), cfg.Pkg)
	for _, fn := range f.Functions() {
		fmt.Fprintf(&b, "\n%s { panic(noAssembly) }\n", fn.Stub())
	}
	return format.Source([]byte(b.String()))
}

// asm is an avo context with the conventions of this package: leaf functions without a frame that take raw pointers.
type asm struct {
	*build.Context
	name   string // of the output file, and so of its data
	labels int
	consts map[uint32]operand.Mem
	masks  *operand.Mem
}

// function starts a function. Slices behind its pointers must be kept alive by the caller.
func (c *asm) function(name, signature, doc string) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.Pragma("noescape")
	c.Doc(doc)
	c.SignatureExpr(signature)
}

// load returns a 64-bit argument in a register.
func (c *asm) load(param string) reg.GPVirtual {
	r := c.GP64()
	c.Load(c.Param(param), r)
	return r
}

// label returns a new label with the given stem.
func (c *asm) label(stem string) operand.LabelRef {
	c.labels++
	return operand.LabelRef(fmt.Sprintf("%s_%d", stem, c.labels))
}

// place sets a label here.
func (c *asm) place(l operand.LabelRef) { c.Label(string(l)) }

// end leaves a function that used vector registers.
func (c *asm) end() {
	c.VZEROUPPER()
	c.RET()
}

// raw emits the bytes of an instruction that avo does not know.
func (c *asm) raw(code ...byte) {
	for _, b := range code {
		c.Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []operand.Op{operand.U8(b)}})
	}
}

// at is the memory operand disp bytes beyond base.
func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// idx is the memory operand base + index·scale + disp.
func idx(base, index reg.Register, scale uint8, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: index, Scale: scale, Disp: disp}
}

// arg is an 8-byte argument in memory.
func (c *asm) arg(name string) operand.Mem {
	b, err := c.Param(name).Resolve()
	if err != nil {
		log.Fatal(err)
	}
	return b.Addr
}
