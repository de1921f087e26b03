package mtf_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

func TestStripes(t *testing.T) {
	t.Parallel()
	files := stripes()
	one, two := both(t, files[0].Bytes()), both(t, files[1].Bytes())
	assert.Equal(t, []int{1, 2, 2, 2}, []int{one.Family, one.Families, two.Family, two.Families})
	check := func(all ...*mtf.Media) *mtf.StripeError {
		t.Helper()
		sets := mtf.Group(all...)
		require.Len(t, sets, 1)
		err := sets[0].Check()
		if err == nil {
			return nil
		}
		var e *mtf.StripeError
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, err, backup.ErrCorrupt)
		require.NotEmpty(t, backup.Hint(err))
		return e
	}
	assert.Nil(t, check(two, one))
	assert.Equal(t, []int{1}, check(two).Missing)
	assert.Equal(t, "media set "+one.SetID.String()+": stripe 2 of 2 is missing", check(one).Error())

	twice := check(one, two, one)
	assert.Empty(t, twice.Missing)
	assert.Contains(t, twice.Error(), "another file is stripe 1 of 2 too")

	// The same media, of which one file was written over by another backup.
	files[1].Sets[0].GUID = id(77)
	other := both(t, files[1].Bytes())
	assert.Contains(t, check(one, other).Error(), "position 1 is sales")
	files[1].Sets = append(files[1].Sets, differential())
	assert.Contains(t, check(one, both(t, files[1].Bytes())).Error(), "stripe 1 has 1 sets, stripe 2 has 2")
	files[1].Family, files[1].Families = 3, 3
	assert.NotNil(t, check(one, both(t, files[1].Bytes())))

	// Files that show no set stand alone.
	wrapped := &mtf.Media{Container: mtf.Wrapped}
	sets := mtf.Group(wrapped, one, &mtf.Media{Container: mtf.Wrapped}, two)
	require.Len(t, sets, 3)
	for _, s := range sets {
		require.NoError(t, s.Check())
	}
	assert.Same(t, wrapped, sets[0].Members[0])
}
