package sink

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"filippo.io/age"

	"github.com/quiesce-go/quiesce/backup"
)

// Keys is what Encrypt works with. A machine that only writes has Recipients, one that only reads has Identities. Printing Keys
// does not show identities.
type Keys struct {
	// Recipients are the public halves. Every object can be opened by each of their identities.
	Recipients []age.Recipient
	// Identities are the secret halves, tried in turn.
	Identities []age.Identity
}

// String tells how many keys there are and nothing of what they are.
func (k Keys) String() string {
	return fmt.Sprintf("%d recipients, %d identities", len(k.Recipients), len(k.Identities))
}

// GoString is String, since %#v would print what age's identities hold.
func (k Keys) GoString() string { return "sink.Keys{" + k.String() + "}" }

// LogValue implements slog.LogValuer.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Recipients returns Keys that write to the given recipients ("age1...", several to a string on lines of their own).
func Recipients(recipients ...string) (Keys, error) {
	rs, err := parseRecipients(strings.Join(recipients, "\n"))
	if err != nil {
		return Keys{}, &backup.Error{Op: "read recipients", Err: err, Advice: "a recipient begins with age1; age-keygen prints it as the public key"}
	}
	return Keys{Recipients: rs}, nil
}

// ReadRecipients is Recipients for a file, one recipient a line, with comments after #.
func ReadRecipients(path string) (Keys, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Keys{}, &backup.Error{Op: "read recipients", Err: err}
	}
	rs, err := parseRecipients(string(text))
	if err != nil {
		return Keys{}, &backup.Error{Op: "read recipients", Artifact: path, Err: err, Advice: "a recipient begins with age1; age-keygen -y makes it from an identity file"}
	}
	return Keys{Recipients: rs}, nil
}

// Identities returns Keys that read with the given identities ("AGE-SECRET-KEY-...") and write to nobody; see Keys.With.
func Identities(identities ...string) (Keys, error) {
	ids, err := age.ParseIdentities(strings.NewReader(trimLines(strings.Join(identities, "\n"))))
	if err != nil {
		return Keys{}, &backup.Error{Op: "read identities", Err: err, Advice: "an identity begins with AGE-SECRET-KEY-; age-keygen makes one"}
	}
	return Keys{Identities: ids}, nil
}

// ReadIdentities is Identities for a file as age-keygen writes it.
func ReadIdentities(path string) (Keys, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Keys{}, &backup.Error{Op: "read identities", Err: err, Advice: "restores need the identity file from the safe"}
	}
	ids, err := age.ParseIdentities(strings.NewReader(trimLines(string(text))))
	if err != nil {
		return Keys{}, &backup.Error{Op: "read identities", Artifact: path, Err: err, Advice: "the file must hold lines that begin with AGE-SECRET-KEY-"}
	}
	return Keys{Identities: ids}, nil
}

// With returns the keys of both: a machine that writes to a safe elsewhere and can read its own.
func (k Keys) With(other Keys) Keys {
	return Keys{
		Recipients: append(k.Recipients[:len(k.Recipients):len(k.Recipients)], other.Recipients...),
		Identities: append(k.Identities[:len(k.Identities):len(k.Identities)], other.Identities...),
	}
}

// parseRecipients never repeats a secret in its error, which age's own parser would for an identity in the wrong place.
func parseRecipients(text string) ([]age.Recipient, error) {
	if strings.Contains(strings.ToUpper(text), "AGE-SECRET-KEY-") {
		return nil, errors.New("an identity (secret key) stands where recipients belong")
	}
	return age.ParseRecipients(strings.NewReader(trimLines(text)))
}

// trimLines drops the blanks and the carriage returns that editors and environment variables bring along.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
