package jinja

// Statements.
type (
	statement interface{}

	textNode   struct{ text string }
	outputNode struct{ value expr }
	ifNode     struct {
		tests  []expr
		bodies [][]statement // one more than tests if there is an else
	}
	forNode struct {
		targets         []string
		items, filter   expr
		body, otherwise []statement
		recursive       bool
	}
	setNode struct {
		targets []string
		object  string // of namespace.attribute
		value   expr
	}
	setBlockNode struct {
		target  string
		filters []filterCall
		body    []statement
	}
	macroNode struct {
		name     string
		params   []string
		defaults []expr // of the last parameters
		body     []statement
		uses     map[string]bool // of varargs, kwargs, caller: those that the body names
	}
	callNode struct {
		caller *macroNode
		call   *callExpr
	}
	filterNode struct {
		filters []filterCall
		body    []statement
	}
	withNode struct {
		names  []string
		values []expr
		body   []statement
	}
	breakNode    struct{}
	continueNode struct{}
)

// Expressions.
type (
	expr interface{}

	constExpr struct{ value any }
	nameExpr  struct{ name string }
	listExpr  struct {
		items []expr
		tuple bool
	}
	dictExpr struct{ keys, values []expr }
	attrExpr struct {
		object expr
		name   string
	}
	itemExpr  struct{ object, index expr }
	sliceExpr struct {
		object expr
		bounds [3]expr // nil: left out
	}
	arguments struct {
		list  []expr
		names []string
		named []expr
		star  [2]expr // *list, **named
	}
	callExpr struct {
		function expr
		args     arguments
	}
	filterCall struct {
		name string
		args arguments
	}
	filterExpr struct {
		value expr
		filterCall
	}
	testExpr struct {
		value expr
		filterCall
		negated bool
	}
	unaryExpr struct {
		op    string
		value expr
	}
	binaryExpr struct {
		op          string
		left, right expr
	}
	concatExpr  struct{ parts []expr }
	compareExpr struct {
		first expr
		ops   []string
		rest  []expr
	}
	condExpr struct{ test, yes, no expr }
)
