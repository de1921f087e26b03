package backup

import "context"

type deferKey struct{}

// DeferDurability marks a Put whose object need not survive a power failure before the next Put or PutIfAbsent without the mark returns
// nil on the same Sink. The pipeline puts parts this way and the listings and the manifest without it, so that a Sink with
// costly barriers, such as a directory, can pass one barrier for many parts. All else a Put promises holds with the mark too. A Sink that
// ignores it is merely stricter. Decorators hand the context on.
func DeferDurability(ctx context.Context) context.Context {
	return context.WithValue(ctx, deferKey{}, true)
}

// DurabilityDeferred reports whether ctx carries the mark of DeferDurability.
func DurabilityDeferred(ctx context.Context) bool {
	deferred, _ := ctx.Value(deferKey{}).(bool)
	return deferred
}
