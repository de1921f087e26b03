package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) keygen() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "make a key pair for the backups",
		Long: `Make an age key pair. The identity, the secret half, opens backups: keep it in a safe place away from the protected machine, and keep
a copy. Without it no backup can be read, by anybody. The recipient, the public half, goes into the configuration.

With --out the identity is written to a new file that only its owner can read; a file that exists is never replaced.
Without --out it is printed. The form is that of age-keygen, and age -d opens the backups.`,
		Example: in.examples("keygen --out key.txt", "keygen --json | jq -r .recipient"),
		Args:    in.args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			id, err := age.GenerateX25519Identity()
			if err != nil {
				return fmt.Errorf("make a key: %w", err)
			}
			key := NewKey{Recipient: id.Recipient().String(), File: out}
			text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", in.now().UTC().Format(time.RFC3339), key.Recipient, id)
			if out == "" {
				key.Identity = id.String()
			} else if err := writeNew(out, text); err != nil {
				return err
			}
			return in.print(key, func(w io.Writer) { printKey(w, key, text) })
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the identity to this new `file`")
	return cmd
}

func printKey(w io.Writer, key NewKey, text string) {
	if key.File == "" {
		fmt.Fprint(w, text)
	} else {
		fmt.Fprintf(w, "identity:  %s (keep it safe, away from this machine, and keep a copy)\n", key.File)
		fmt.Fprintf(w, "recipient: %s\n", key.Recipient)
	}
	fmt.Fprintf(w, "\n# for the configuration:\n# seal: {recipients: [%s]}\n", key.Recipient)
}

// writeNew writes a file that did not exist, for its owner's eyes only, and leaves none behind when it fails.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usage(&backup.Error{Op: "write the identity to", Artifact: name, Err: fs.ErrExist,
			Advice: "keys are never overwritten, since the backups made for them would be lost; choose another name"})
	}
	if err != nil {
		return &backup.Error{Op: "write the identity", Err: err, Advice: "choose a directory that can be written"}
	}
	_, err = io.WriteString(f, text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return &backup.Error{Op: "write the identity", Err: errors.Join(err, os.Remove(name)), Advice: "nothing was kept; try another place"}
	}
	return nil
}
