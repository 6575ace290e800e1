package imports

// Order lists the packages from top to bottom: a package imports only packages below its own line. "internal" stands
// for every package under internal/. A package not named here is a mistake: add it where it belongs.
var Order = []string{
	"cmd/hone",
	"serve",
	"cluster",
	"recipe",
	"bench",
	"compress",
	"tune",
	"train",
	"eval",
	"engine",
	"optim",
	"data",
	"model",
	"nn",
	"parallel",
	"store",
	"checkpoint",
	"tokenizer",
	"quant",
	"tensor",
	"kernel",
	"web",
	"internal",
}

// Only names packages that few may import, whatever the order says.
var Only = map[string][]string{
	"web": {"serve"},
}

// Exceptions are single imports against the order, "from -> to", each with its reason. One that is no longer used is a
// mistake too.
var Exceptions = map[string]string{}

// A Dependency is a module from outside and the packages that may import it.
type Dependency struct {
	Why      string
	Packages []string // names as in Order; nil: any
	TestOnly bool
}

// Dependencies lists every module that go.mod may require directly. Versions stand in go.mod, exact ones.
var Dependencies = map[string]Dependency{
	"golang.org/x/sys":                    {Why: "CPU features, mmap, madvise, affinity, memory and disk figures, file locks", Packages: []string{"kernel", "checkpoint", "store", "bench", "serve", "cmd/hone", "internal"}},
	"golang.org/x/term":                   {Why: "is it a terminal; editing of a line", Packages: []string{"cmd/hone", "internal"}},
	"golang.org/x/text":                   {Why: "Unicode normalization forms", Packages: []string{"tokenizer"}},
	"github.com/dlclark/regexp2/v2":       {Why: "pre-tokenizer patterns with lookahead, bounded in time", Packages: []string{"tokenizer"}},
	"github.com/rivo/uniseg":              {Why: "grapheme clusters, which the normalizer Precompiled goes by", Packages: []string{"tokenizer"}},
	"github.com/prometheus/client_golang": {Why: "/metrics", Packages: []string{"serve"}},
	"github.com/spf13/cobra":              {Why: "verbs, flags, completion", Packages: []string{"cmd/hone"}},
	"github.com/spf13/pflag":              {Why: "cobra's flag values", Packages: []string{"cmd/hone"}},
	"github.com/vbauerster/mpb/v8":        {Why: "progress bars", Packages: []string{"cmd/hone"}},
	"github.com/google/go-cmp":            {Why: "differences in tests", TestOnly: true},
	"pgregory.net/rapid":                  {Why: "property tests", TestOnly: true},
	"go.uber.org/goleak":                  {Why: "leaked goroutines in tests", TestOnly: true},
	"github.com/rogpeppe/go-internal":     {Why: "test scripts of the program", TestOnly: true},
}

// Limits in lines.
const (
	maxFile     = 600
	maxFunc     = 70
	maxTestFunc = 120
)

// LongFiles are the files over maxFile, each with its reason.
var LongFiles = map[string]string{}

// LongFuncs are the functions over the limit, "file: name", each with its reason: kernels, parsers, protocol loops.
var LongFuncs = map[string]string{}
