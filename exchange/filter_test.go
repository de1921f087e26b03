package exchange

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"Sales", "sales", true}, {"sales", "sales2", false}, {"s*", "Sales", true}, {"*les", "sales", true}, {"s?les", "sales", true}, {"s?les", "sles", false},
		{"*a*e*", "sales", true}, {"*", "", true}, {"?", "", false}, {"**x", "aax", true}, {"*ab", "aab", true}, {"Größe*", "GRÖSSE", false}, {"grö?e", "GRÖßE", true},
	} {
		assert.Equal(t, c.want, matches([]string{c.pattern}, c.name), "%q %q", c.pattern, c.name)
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	f := filter{include: []string{"sg?", "Archive"}, exclude: []string{"*test"}}
	assert.True(t, f.includes("SG1"))
	assert.True(t, f.includes("nothing", "archive"), "one of the names is enough")
	assert.False(t, f.includes("other"))
	assert.True(t, f.excludes("sgtest"))
	assert.True(t, f.named("x", "ARCHIVE"))
	assert.False(t, f.named("sg?2"))
	assert.Equal(t, []string{"Archive"}, f.missing([]string{"sg1"}), "only names without wildcards can be missing")
	assert.True(t, filter{}.includes("anything"))
}
