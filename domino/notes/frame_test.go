package notes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func FuzzFrame(f *testing.F) {
	for _, one := range []*frame{
		{head: head{Kind: kindHello, Protocol: protocol}},
		{head: head{Kind: kindCall, ID: 1, Thread: 1, Call: callApply, In: &input{Context: 1 << 63}}, body: []byte("bytes")},
		{head: head{Kind: kindAnswer, ID: 1, Out: &output{Info: &LogInfo{Logged: true}}, Failure: &failure{Status: StatusDBInUse}}},
	} {
		var b bytes.Buffer
		require.NoError(f, writeFrame(&b, one))
		f.Add(b.Bytes())
	}
	f.Add([]byte("QN1\n\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		one, err := readFrame(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		require.NoError(t, writeFrame(&again, one))
		two, err := readFrame(&again)
		require.NoError(t, err)
		assert.Equal(t, one, two)
	})
}

func TestFramesThatAreNone(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, writeFrame(&b, &frame{head: head{Kind: kindHello}, body: []byte("0123456789")}))
	for n := range b.Len() {
		_, err := readFrame(bytes.NewReader(b.Bytes()[:n]))
		if n == 0 {
			require.Equal(t, io.EOF, err)
			continue
		}
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
	}
	for _, bad := range []string{"Segmentation fault", "QN2\n", "QN1\n\x7f\xff\xff\xff\x00\x00\x00\x00", "QN1\n\x00\x00\x00\x00\x7f\xff\xff\xff", "QN1\n\x00\x00\x00\x01\x00\x00\x00\x00x"} {
		_, err := readFrame(strings.NewReader(bad))
		require.ErrorIs(t, err, errFrame, bad)
	}
}

// dead is an API nobody gets to.
type dead struct{}

func (dead) Thread(context.Context) (Thread, error) { return nil, errors.New("no threads") }
func (dead) Close() error                           { return nil }

func TestTheChildRefusesWhatIsNotTheProtocol(t *testing.T) {
	t.Parallel()
	for name, frames := range map[string][]head{
		"kind":     {{Kind: "dance"}},
		"thread":   {{Kind: kindCall, Thread: 5, ID: 1}},
		"no put":   {{Kind: kindPlaced, ID: 1}},
		"an echo":  {{Kind: kindHello}},
		"no frame": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			defer near.Close()
			served := make(chan error, 1)
			go func() { served <- Serve(context.Background(), far, dead{}) }()
			_, err := readFrame(near)
			require.NoError(t, err)
			for _, h := range frames {
				require.NoError(t, writeFrame(near, &frame{head: h}))
			}
			if frames == nil {
				_, err = near.Write([]byte("and now to something else"))
				require.NoError(t, err)
			}
			require.ErrorIs(t, <-served, errFrame)
		})
	}
}

func TestAThreadThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	go func() { _ = Serve(context.Background(), far, dead{}) }()
	api, err := Connect(t.Context(), near)
	require.NoError(t, err)
	defer api.Close()
	for range 2 {
		_, err = api.Thread(t.Context())
		require.EqualError(t, err, "NotesInitThread: no threads")
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, far, dead{}) }()
	api, err := Connect(t.Context(), near)
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-served)
	_, err = api.Thread(t.Context())
	require.ErrorIs(t, err, ErrGone)
	require.NoError(t, api.Close())
}

func TestTheParentRefusesWhatIsNotTheProtocol(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		frames []head
		want   string
	}{
		"older":                {[]head{{Kind: kindHello, Protocol: protocol + 1}}, "same release"},
		"no greeting":          {[]head{{Kind: kindAnswer, ID: 1}}, "not the protocol"},
		"greeting twice":       {[]head{{Kind: kindHello, Protocol: protocol}, {Kind: kindHello}, {Kind: kindHello}}, "not the protocol"},
		"an answer to nothing": {[]head{{Kind: kindHello, Protocol: protocol}, {Kind: kindAnswer, ID: 99}}, "not the protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			defer far.Close()
			go func() {
				for _, h := range test.frames {
					if writeFrame(far, &frame{head: h}) != nil {
						return
					}
				}
				_, _ = io.Copy(io.Discard, far)
			}()
			api, err := Connect(t.Context(), near)
			if err == nil {
				defer api.Close()
				_, err = api.Thread(t.Context())
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestTheEnvironmentOfDomino(t *testing.T) {
	t.Parallel()
	c := Command{Program: "/opt/domino", INI: "/local/notes.ini", Library: "/l.so", Args: []string{"x"}, Env: []string{"PATH=/old", "PATH=/bin", "A=b"}}
	env := c.environment()
	assert.Contains(t, env, "Notes_ExecDirectory=/opt/domino")
	assert.True(t, strings.HasPrefix(env[len(env)-2], "PATH=/opt/domino"), env)
	assert.True(t, strings.HasSuffix(env[len(env)-2], "/bin"), env)
	assert.Equal(t, []string{"PATH=/old", "PATH=/bin", "A=b"}, c.Env)
	assert.Equal(t, []string{"x", "-program", "/opt/domino", "-ini", "/local/notes.ini", "-library", "/l.so"}, c.arguments())
	assert.Equal(t, "/local", c.directory())
	assert.Equal(t, []string{"A=b"}, (&Command{Env: []string{"A=b"}}).environment())
}

func TestWordsAreBounded(t *testing.T) {
	t.Parallel()
	var said words
	_, _ = said.Write([]byte("the beginning"))
	_, _ = said.Write(bytes.Repeat([]byte("x"), 2*keptWords-len("the beginning")))
	assert.Len(t, said.String(), 2*keptWords, "all of it")
	for range 100 {
		_, _ = said.Write(bytes.Repeat([]byte("y"), 1000))
	}
	_, _ = said.Write([]byte("the end\n"))
	s := said.String()
	assert.Len(t, s, 2*keptWords+len(" [...] ")-1)
	assert.True(t, strings.HasPrefix(s, "the beginning"))
	assert.True(t, strings.HasSuffix(s, "the end"))
	assert.Contains(t, s, "x [...] y")
	_, _ = said.Write(bytes.Repeat([]byte("z"), 3*keptWords))
	assert.True(t, strings.HasSuffix(said.String(), "[...] "+strings.Repeat("z", keptWords)))
}
