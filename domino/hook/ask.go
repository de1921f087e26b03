package hook

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Ask hands a call to the agent that waits at dir, and returns its answer, however long that takes. An error says that there was no agent, or that it went away.
func Ask(ctx context.Context, dir string, c Call) (Answer, error) {
	conn, token, err := dial(ctx, dir)
	if err != nil {
		return Answer{}, fmt.Errorf("no backup or restore of Quiesce is waiting for Domino at %s: %w", dir, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the read below says so
	defer stop()
	text, err := json.Marshal(message{token, c})
	if err != nil {
		return Answer{}, err
	}
	_, err = conn.Write(append(text, '\n'))
	if err == nil {
		text, err = bufio.NewReader(io.LimitReader(conn, maxMessage)).ReadBytes('\n')
	}
	var a Answer
	switch {
	case ctx.Err() != nil:
		return a, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return a, errors.New("the agent went away without an answer")
	case err != nil:
		return a, fmt.Errorf("ask the agent: %w", err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return Answer{}, fmt.Errorf("the answer of the agent: %w", err)
	}
	return a, nil
}
