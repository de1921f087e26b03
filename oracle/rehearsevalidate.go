package oracle

import (
	"context"

	"github.com/quiesce-go/quiesce/backup"
)

func (s *Source) rehearseValidate(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string, o rehearsalOptions) (err error) {
	return nil
}
