package agent

// stateStore is what the agent remembers of its jobs, in memory and in Options.State.
type stateStore struct{}
