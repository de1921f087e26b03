// Package backuptask is a model of the backup and restore tasks that Domino has had since release 12, over the Notes C API of a model server: for each file they call an external command with positional parameters,
// and read what it prints.
//
// It knows the nine parameters of a backup and the ten of a restore [ADM Native OS commands], the options -b, -t and -i [ADM Running the Backup server task], the strings Return: PROCESSED, Return: ERROR and BackupRef:
// [DB backup-providers], a post-backup command, .DELTA files through the same command, empty ones too where that is enabled [DB docs/delta-files.md, docs/interface.md], restores under the extension .DAD
// [ADM Formula-defined commands], and an inventory that decides what -i takes. It does not know snapshots, retention, and more than one backup at a time. Other options are refused.
//
// That DBIID and LogID are passed as hex digits, and as nothing for a database that is not logged, is made up: no document tells.
//
// [ADM] is the administration help of HCL Domino, [DB] the repository HCL-TECH-SOFTWARE/domino-backup.
package backuptask
