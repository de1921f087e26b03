// Package exchange runs the agent for Exchange as a Windows program, with the streaming API as it is loaded there: a library found by the registry, called by its stdcall functions. The library is the stand-in of
// internal/sim/exchangesim/esebcli2; on Linux all runs under Wine.
package exchange
