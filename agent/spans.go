package agent

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/quiesce-go/quiesce/backup"
)

// scope is the instrumentation scope of all metrics and spans.
const scope = "github.com/quiesce-go/quiesce/agent"

// spans makes one span of every action, and a child of every phase its pipeline comes to. Span names are few: the action, the phase.
type spans struct{ tracer trace.Tracer }

func newSpans(p trace.TracerProvider) *spans {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return &spans{p.Tracer(scope)}
}

// actionSpan is the span of one action. Its methods are called under the observer's lock.
type actionSpan struct {
	tracer trace.Tracer
	ctx    context.Context // of the action: the parent of its phases
	span   trace.Span
	child  trace.Span // of the phase; nil before the first
}

func (s *spans) begin(ctx context.Context, v *jobView, k runKey) (context.Context, *actionSpan) {
	attrs := []attribute.KeyValue{attrJob.String(v.name), attrAction.String(string(k.action))}
	if v.application != "" {
		attrs = append(attrs, attrApplication.String(v.application))
	}
	if k.kind != "" {
		attrs = append(attrs, attrAsked.String(string(k.kind)))
	}
	ctx, span := s.tracer.Start(ctx, "quiesce "+string(k.action), trace.WithAttributes(attrs...))
	return ctx, &actionSpan{tracer: s.tracer, ctx: ctx, span: span}
}

func (a *actionSpan) started(ev backup.RunStarted) {
	a.span.SetAttributes(attrID.String(string(ev.ID)), attrResumed.Bool(ev.Resumed))
}

func (a *actionSpan) phase(ph backup.Phase) {
	a.endPhase()
	_, a.child = a.tracer.Start(a.ctx, "quiesce phase "+string(ph), trace.WithAttributes(attrPhase.String(string(ph))))
}

func (a *actionSpan) endPhase() {
	if a.child != nil {
		a.child.End()
		a.child = nil
	}
}

func (a *actionSpan) warning(text string) {
	a.span.AddEvent("warning", trace.WithAttributes(attribute.String("message", text)))
}

func (a *actionSpan) stalled(d time.Duration) {
	a.span.AddEvent("stalled", trace.WithAttributes(attribute.Float64("quiesce.silence", d.Seconds())))
}

// end closes both spans with what the record says. The phase in which an action failed carries the error too.
func (a *actionSpan) end(r Record) {
	if verdict(r) == bad {
		err := r.Err()
		if err == nil {
			err = errors.New(r.Error)
		}
		if a.child != nil {
			a.child.SetStatus(codes.Error, r.Error)
		}
		a.span.RecordError(err)
		a.span.SetStatus(codes.Error, r.Error)
	}
	a.endPhase()
	attrs := []attribute.KeyValue{
		attrOutcome.String(string(r.Outcome)), attribute.Int64("quiesce.bytes", r.Bytes), attribute.Int64("quiesce.stored_bytes", r.StoredBytes),
		attribute.Int("quiesce.parts", r.Parts),
	}
	for key, v := range map[attribute.Key]string{attrKind: string(r.Kind), attrID: string(r.ID), attrReason: r.Reason, attrInstance: r.Instance} {
		if v != "" {
			attrs = append(attrs, key.String(v))
		}
	}
	if r.Proof != nil {
		attrs = append(attrs, attribute.String("quiesce.proof", r.Proof.String()))
	}
	a.span.SetAttributes(attrs...)
	a.span.End()
}

// Keys of attributes. They carry the project's name because Prometheus gives a label "job" of its own to everything it scrapes.
const (
	attrJob         = attribute.Key("quiesce.job")
	attrApplication = attribute.Key("quiesce.application")
	attrItem        = attribute.Key("quiesce.item")
	attrKind        = attribute.Key("quiesce.kind")
	attrAction      = attribute.Key("quiesce.action")
	attrOutcome     = attribute.Key("quiesce.outcome")
	attrPhase       = attribute.Key("quiesce.phase")
	attrNotice      = attribute.Key("quiesce.notice")
	attrAsked       = attribute.Key("quiesce.asked")
	attrID          = attribute.Key("quiesce.id")
	attrReason      = attribute.Key("quiesce.reason")
	attrInstance    = attribute.Key("quiesce.instance")
	attrResumed     = attribute.Key("quiesce.resumed")
)
