package config

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/sink"
)

// Shared counts what Build makes for all jobs of c together.
func Shared(ctx context.Context, c *Config) (targets, limiters int, err error) {
	b := newBuilder(c)
	var errs []error
	for i := range c.Jobs {
		errs = append(errs, b.job(ctx, &c.Jobs[i]))
	}
	targets = len(b.targets)
	return targets, len(b.limiters), errors.Join(append(errs, b.Close())...)
}

// Layers are the options of a job's layers.
func Layers(c *Config, job int) (sink.SealOptions, error) {
	j := &c.Jobs[job]
	seal, _ := c.seal(j)
	return newBuilder(c).layers(j, seal)
}
