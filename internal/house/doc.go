// Package house keeps the house in order: its tests read the whole source tree and fail when a package breaks a rule that
// reviewers would otherwise have to remember.
//
// The rules are few: imports point inward (backup knows nobody, no application knows another, cloud SDKs are linked
// by programs only), libraries hold no state of their own (no init functions, no package-level variables that change), every
// package tells what it is for, every public package has an example, and links in the documents lead somewhere.
//
// Packages are found by asking the go command, so what is added later is covered from its first day. Each rule is itself
// tested against a small package that breaks it.
package house
