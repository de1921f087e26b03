package oraclesim

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Host is a machine with several instances of one Oracle home, told apart by ORACLE_SID. A database is mounted by one of them at a time: its DB_UNIQUE_NAME says which it is.
type Host struct {
	instances map[string]*Instance

	mu      sync.Mutex
	mounted map[string]*Instance // by DB_UNIQUE_NAME, in capitals
}

// NewHost puts instances on one machine. The first is that of programs without ORACLE_SID.
func NewHost(first *Instance, more ...*Instance) *Host {
	h := &Host{instances: map[string]*Instance{"": first}, mounted: map[string]*Instance{}}
	for _, i := range append([]*Instance{first}, more...) {
		h.instances[i.config.SID] = i
		i.mu.Lock()
		i.host = h
		if i.state == Mounted || i.state == Open {
			h.mounted[i.uniqueName()] = i
		}
		i.mu.Unlock()
	}
	return h
}

// RunProgram runs sqlplus or rman on the instance that Call.SID names.
func (h *Host) RunProgram(ctx context.Context, c Call) Result {
	i := h.instances[c.SID]
	if i == nil {
		return Result{"oraclesim: there is no instance " + c.SID + " on this machine\n", 1}
	}
	return i.RunProgram(ctx, c)
}

// Listen is Instance.Listen for all instances of the machine.
func (h *Host) Listen(ctx context.Context, path string) (wait func(), err error) {
	return listen(ctx, path, h.RunProgram)
}

// claim notes that an instance mounts a database. The lock file in the Oracle home is what excludes another [ERR 01102].
func (h *Host) claim(i *Instance) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	name := i.uniqueName()
	if other := h.mounted[name]; other != nil && other != i {
		return fault(1102, "cannot mount database in EXCLUSIVE mode")
	}
	h.mounted[name] = i
	return nil
}

// release forgets what an instance has mounted.
func (h *Host) release(i *Instance) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, by := range h.mounted {
		if by == i {
			delete(h.mounted, name)
		}
	}
}

// uniqueName is DB_UNIQUE_NAME, which is DB_NAME unless it is set [REF].
func (i *Instance) uniqueName() string {
	if name := i.params.get("db_unique_name"); name != "" {
		return upper(name)
	}
	return upper(i.params.get("db_name"))
}

// managed reports whether a name is one that the server makes for files of Oracle Managed Files.
func managed(path string) bool {
	name := filepath.Base(path)
	return strings.HasPrefix(name, "o1_mf_") && strings.Contains(name, "_.")
}

// forsake deletes a managed file that has another name now, as RENAME FILE does [SQL].
func forsake(path string) {
	if managed(path) {
		_ = os.Remove(path) // it may be on another machine
	}
}

// listen serves programs of other processes.
func listen(ctx context.Context, path string, run func(ctx context.Context, c Call) Result) (wait func(), err error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	var all sync.WaitGroup
	context.AfterFunc(ctx, func() { l.Close() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				var call Call
				if err := json.NewDecoder(c).Decode(&call); err != nil {
					return
				}
				_ = json.NewEncoder(c).Encode(run(ctx, call)) // a client that went away reads nothing
			})
		}
	})
	return all.Wait, nil
}
