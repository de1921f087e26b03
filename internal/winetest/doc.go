// Package winetest runs the tests of a package as a Windows program under Wine, on Linux.
//
// [Run] belongs into a test of the package itself, in a file for Linux; the tests that are to run on Windows are in files of their own, package_windows_test.go. It builds the test binary of the package for windows/amd64, makes a Wine
// prefix, a Windows of its own in a temporary directory, and runs the tests there whose names match a pattern. Each of them becomes a subtest with its verdict and its output, so that what was skipped there is seen as skipped
// here. Where Wine or the C compiler of MinGW is not installed, the test is skipped with the name of what is missing, or fails when QUIESCE_WINE_REQUIRED is set.
//
// # What must be known
//
// Observed with Wine 8.0 and Go 1.26. Go needs ProcessPrng of bcryptprimitives.dll, which this Wine lacks, so a library with that one function is compiled into the prefix. os.RemoveAll and the cleanup of testing.T.TempDir
// fail there with "Invalid function": [TempDir] removes files one by one. Wine has no volume shadow copies, no diskshadow, no wbadmin and no Exchange. The files of the host are at Z:\, see [Path]; the working directory is that of the package.
//
// QUIESCE_WINEPREFIX names a prefix that is kept and shared, under a lock: the first run makes it, which takes some seconds and 700 MB. Its registry and files then stay from run to run.
//
// It proves nothing about Windows: it shows that the Windows code of a package runs, calls libraries with the right arguments and reads what they return.
package winetest
