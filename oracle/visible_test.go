package oracle

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// An account that does not see all containers would back up those that it sees, and nobody would know.
func TestContainersThatTheAccountDoesNotSee(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		containers []string
		dropped    int
		say        string // empty: it is backed up
	}{
		"the root only":                   {nil, 0, "PDB$SEED"},
		"some by name":                    {[]string{"PDB$SEED", "SHOP"}, 0, "CONTAINER_DATA is not ALL"},
		"all":                             {[]string{"ALL"}, 0, ""},
		"all and files were dropped":      {[]string{"ALL"}, 3, ""},
		"all by name":                     {[]string{"PDB$SEED", "SHOP", "STOCK"}, 0, ""},
		"all by name and some dropped":    {[]string{"PDB$SEED", "SHOP", "STOCK"}, 3, "CONTAINER_DATA is not ALL"},
		"the root and files were dropped": {nil, 3, "PDB$SEED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, func(s *oraclesim.Config) {
				s.PDBs, s.Dropped = []string{"SHOP", "STOCK"}, c.dropped
				s.Users = map[string]oraclesim.User{"C##BACKUP": {Password: "secret", Containers: c.containers}}
			})
			l.login = oraclesim.Login{User: "C##BACKUP", Password: "secret"}
			_, fails := l.checked()
			if c.say == "" {
				assert.Empty(t, fails)
				for _, d := range l.look(l.take(backup.Full)).DataFiles {
					assert.NotEmpty(t, d.Artifact, d.Name)
				}
				return
			}
			assert.Contains(t, fails, c.say)
			for _, kind := range []backup.Kind{backup.Full, backup.Log} {
				err := l.fails(kind)
				require.ErrorIs(t, err, backup.ErrRefused)
				assert.ErrorContains(t, err, c.say)
				assert.Contains(t, backup.Hint(err), "SET CONTAINER_DATA=ALL")
			}
			assert.Empty(t, l.ran("ALTER DATABASE BEGIN"))
		})
	}
	for _, privilege := range []string{"SYSDBA", "SYSBACKUP"} {
		t.Run(privilege, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, func(s *oraclesim.Config) {
				s.PDBs, s.Dropped = []string{"SHOP"}, 2
				s.Users = map[string]oraclesim.User{"C##BACKUP": {Password: "secret", Administrative: []string{privilege}}}
			})
			l.login = oraclesim.Login{User: "C##BACKUP", Password: "secret", Privilege: privilege}
			l.take(backup.Full)
		})
	}
}

func TestWhatIsVisible(t *testing.T) {
	t.Parallel()
	whole := func() *Inventory {
		inv := &Inventory{CDB: true, ContainerID: 1, Containers: []Container{{ID: 2, Name: "PDB$SEED"}, {ID: 3, Name: "SHOP"}}, visible: visibility{records: 5}}
		for _, c := range []int{1, 2, 3} {
			inv.Tablespaces = append(inv.Tablespaces, Tablespace{Container: c, Name: "SYSTEM"})
			inv.DataFiles = append(inv.DataFiles, DataFile{File: c, Container: c})
		}
		return inv
	}
	without := func(container int) func(d DataFile) bool {
		return func(d DataFile) bool { return d.Container == container }
	}
	for name, c := range map[string]struct {
		change func(inv *Inventory)
		say    string
	}{
		"all, two files were dropped": {func(*Inventory) {}, ""},
		"an account of no attribute":  {func(inv *Inventory) { inv.visible.attributes = nil }, ""},
		"all":                         {func(inv *Inventory) { inv.visible.attributes = []containerData{{all: true}} }, ""},
		"some":                        {func(inv *Inventory) { inv.visible.attributes = []containerData{{}, {}} }, "CONTAINER_DATA is not ALL"},
		"some, and all of this view":  {func(inv *Inventory) { inv.visible.attributes = []containerData{{}, {ofView: true, all: true}} }, ""},
		"all, and some of this view":  {func(inv *Inventory) { inv.visible.attributes = []containerData{{all: true}, {ofView: true}} }, "CONTAINER_DATA is not ALL"},
		"as many as there are":        {func(inv *Inventory) { inv.visible = visibility{records: 3, attributes: []containerData{{}}} }, ""},
		"no seed":                     {func(inv *Inventory) { inv.DataFiles = slices.DeleteFunc(inv.DataFiles, without(2)) }, "PDB$SEED"},
		"no seed, and nothing is hidden": {func(inv *Inventory) {
			inv.DataFiles, inv.visible.records = slices.DeleteFunc(inv.DataFiles, without(2)), 2
		}, ""},
		"a container without files": {func(inv *Inventory) { inv.DataFiles = slices.DeleteFunc(inv.DataFiles, without(3)) }, "none of them is of SHOP"},
		"no tablespaces":            {func(inv *Inventory) { inv.Tablespaces = inv.Tablespaces[:1] }, "V$TABLESPACE"},
		"no containers":             {func(inv *Inventory) { inv.Containers = inv.Containers[:1] }, "V$PDBS"},
		"not multitenant":           {func(inv *Inventory) { inv.CDB, inv.DataFiles = false, nil }, ""},
	} {
		inv := whole()
		c.change(inv)
		err := seesAll(inv)
		if c.say == "" {
			assert.NoError(t, err, name)
			continue
		}
		assert.ErrorContains(t, err, c.say, name)
		assert.ErrorIs(t, err, backup.ErrRefused, name)
	}
}
