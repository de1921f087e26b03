// Package crowd is the people of a simulated Domino server, as the conformance suite of package backup wants them: they write to databases while each state that was is remembered, lose them, add one, damage one, and run
// another backup program on a database that is not ours. Tests of the agent have it over the model and over the library in C.
package crowd
