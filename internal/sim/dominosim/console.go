package dominosim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// referencePrefix begins a value that refers to an object of the attachment store.
const referencePrefix = "\x00nlo:"

// errCommand: the console does not know the command.
var errCommand = errors.New("dominosim: Command is not supported by the console of this simulator")

// Attach does a transaction that sets one key to a reference to an object of the attachment store, after it has written the object: DIRECTORY/NAME.nlo below DAOSBasePath.
func (s *Server) Attach(db, key, object, content string) error {
	base, err := s.attachmentStore()
	if err != nil {
		return err
	}
	at := filepath.Join(base, filepath.FromSlash(object))
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(at); err == nil {
		return s.Write(db, key, referencePrefix+object) // the same attachment twice is one object
	}
	if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
		return err
	}
	return s.Write(db, key, referencePrefix+object)
}

func (s *Server) attachmentStore() (string, error) {
	value, ok, err := s.ini("DAOSBasePath")
	if err != nil || !ok {
		return "", errors.Join(err, errors.New("dominosim: DAOS is not enabled on this server"))
	}
	if !filepath.IsAbs(value) {
		value = filepath.Join(s.DataDir(), value)
	}
	return value, nil
}

// References are the objects to which a database refers.
func (s *Server) References(db string) (objects []string, err error) {
	all, err := s.Read(db)
	if err != nil {
		return nil, err
	}
	for _, value := range all {
		if object, ok := strings.CutPrefix(value, referencePrefix); ok {
			objects = append(objects, object)
		}
	}
	slices.Sort(objects)
	return slices.Compact(objects), nil
}

// Console does a console command, of which it knows two: "tell daosmgr listnlo -o FILE MISSING DATABASE", with the words in this order, and "tell daosmgr resync" [ADM DAOS Manager Tell commands]. The list is that of a
// Domino 9 server: one full path in each line, in a file of the data directory. What is not found is said on the console only, and no list is made, which is a guess.
func (s *Server) Console(command string) error {
	words := strings.Fields(command)
	for i := range min(len(words), 3) {
		words[i] = strings.ToLower(words[i])
	}
	switch {
	case slices.Equal(words, []string{"tell", "daosmgr", "resync"}):
		_, err := s.attachmentStore()
		return err
	case len(words) < 7 || !slices.Equal(words[:4], []string{"tell", "daosmgr", "listnlo", "-o"}) || !strings.EqualFold(words[5], "MISSING"):
		return fmt.Errorf("%w: %q", errCommand, command)
	}
	_, db, _ := strings.Cut(command, " "+words[5]+" ")
	quoted := strings.HasPrefix(db, `"`) && strings.HasSuffix(db, `"`) && len(db) > 1
	if strings.Contains(db, " ") && !quoted {
		return fmt.Errorf("%w: %q", errCommand, command)
	}
	return s.listMissing(words[4], strings.Trim(db, `"`))
}

func (s *Server) listMissing(file, db string) error {
	base, err := s.attachmentStore()
	if err != nil {
		return err
	}
	objects, err := s.References(db)
	if err != nil {
		return nil //nolint:nilerr // the server says so on its console
	}
	var list strings.Builder
	for _, object := range objects {
		at := filepath.Join(base, filepath.FromSlash(object))
		if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
			list.WriteString(at + "\n")
		}
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.DataDir(), file)
	}
	return os.WriteFile(file, []byte(list.String()), 0o600)
}
