// Package proctree starts programs together with all that they start themselves: when the context of the command is cancelled the whole tree is killed, and not only its root, whose children would go on
// with what they hold.
//
// On Windows the tree is a job object, which also ends with this process, however that ends: nothing that was started outlives it. What the program starts in the instant before it is in the job is not in it; no program is that fast.
// On Unix the tree is a process group, which outlives this process.
package proctree

import "os/exec"

// Start starts cmd, made by exec.CommandContext, as the root of a tree of its own. Call release when cmd.Wait has returned; on Windows it kills what the root left running.
func Start(cmd *exec.Cmd) (release func(), err error) { return start(cmd) }
