package config

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/sink"
)

// Limiters counts the bounds that Build makes for all jobs of c.
func Limiters(ctx context.Context, c *Config) (int, error) {
	b := &builder{Built: Built{config: c, opens: map[string]Open{}}, byURL: map[URL]sink.Target{}, limiters: map[string]*sink.Limiter{}}
	var errs []error
	for i := range c.Jobs {
		errs = append(errs, b.job(ctx, &c.Jobs[i]))
	}
	return len(b.limiters), errors.Join(append(errs, b.Close())...)
}
