// Package oraclesim is a small Oracle Database for tests.
package oraclesim
