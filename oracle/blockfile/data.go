package blockfile

import (
	"time"
)

// DataFile is what a data file says of itself, and how its blocks were found.
type DataFile struct {
	// Depth is how far the file was found good.
	Depth Depth
	// BigEndian is the byte order of the platform it was written on.
	BigEndian      bool
	BlockSizeBytes int
	// Blocks is the length that the header gives, in blocks, without block 0. The file has Blocks+1 of them: BYTES + BLOCK1_OFFSET of V$DATAFILE.
	Blocks uint32
	// SizeBytes is the whole file as it was read; 0 when it was not read to its end.
	SizeBytes int64

	DBID uint32
	// Database and TablespaceName are as stored, in the character set of the database.
	Database string
	// Compatible is the version whose format the file has.
	Compatible Version
	// ControlSequence is that of the control file when the header was written.
	ControlSequence uint32
	// File is FILE# and RelativeFile RFILE# of V$DATAFILE; the latter counts within the tablespace.
	File, RelativeFile uint32
	// Bigfile: block addresses hold a block number only, since the tablespace has one file.
	Bigfile bool
	// Tablespace is TS#.
	Tablespace     int32
	TablespaceName string

	CreationSCN uint64
	// ResetlogsID and ResetlogsSCN name the incarnation of the database; those of the one before follow.
	ResetlogsID, PreviousResetlogsID   uint32
	ResetlogsSCN, PreviousResetlogsSCN uint64
	// CheckpointSCN is up to where the file is complete without redo, if it is not Fuzzy. While a file is in backup mode it stays at BEGIN BACKUP.
	CheckpointSCN                        uint64
	CheckpointThread, CheckpointSequence uint32
	// BackupSCN is that of BEGIN BACKUP, while InBackup.
	BackupSCN uint64
	// Created, CheckpointTime and BackupTime are the server's local time, expressed as UTC since the header names no zone; zero when unknown.
	Created, CheckpointTime, BackupTime time.Time
	// Status are the flags of the header.
	Status uint16

	// Zero counts blocks that were never written: all their bytes are zero.
	Zero int64
	// Summed counts blocks with a checksum that is right, Unsummed those without one.
	Summed, Unsummed int64
	// Fractured counts blocks that were caught half-way through a write, in a hot copy; redo written in backup mode repairs them. They are in
	// neither count above.
	Fractured int64
	// HighestSCN is the newest change of any whole block. Recovery of a hot copy has to go beyond it. Blocks whose SCN is beyond 47 bits are left out.
	HighestSCN uint64
	// Findings are the first fractured blocks.
	Findings []Finding
	// Warnings are what is odd and no damage, a sentence each.
	Warnings []string
}

// Finding is one block that is not whole, and need not be.
type Finding struct {
	Block int64
	What  string
}

// InBackup reports whether the file was in backup mode when its header was copied.
func (d *DataFile) InBackup() bool { return d.Status&statusBackup != 0 }

// Fuzzy reports whether blocks may be newer than the checkpoint, because the file was open. A file closed in order is not.
func (d *DataFile) Fuzzy() bool { return d.Status&(statusBackup|statusFuzzy) != 0 }

// Offsets of the cache header, in every block (5.3).
const (
	blockAddress  = 4  // u32, relative file<<22 | block, or block
	blockBase     = 8  // u32, SCN
	blockWrap     = 12 // u16, SCN
	blockSequence = 14 // u8
	blockFlags    = 15 // u8
	blockHeader   = 20 // bytes

	blockMask = 1<<22 - 1
	summed    = 4 // flag: the checksum is valid
)

// Offsets of the file header in block 1 (5.3). Those up to fileType are common to data and control files.
const (
	fileCompatible      = 24  // u32
	fileDBID            = 28  // u32
	fileDatabase        = 32  // 8 bytes
	fileControlSequence = 40  // u32
	fileBlocks          = 44  // u32, without block 0
	fileBlockSize       = 48  // u32
	fileNumber          = 52  // u16
	fileCreationSCN     = 100 // scn
	fileCreated         = 108 // time
	fileResetlogsID     = 112 // u32
	fileResetlogsSCN    = 116 // scn
	fileBackupTime      = 124 // time
	fileBackupSCN       = 128 // scn
	fileStatus          = 138 // u16
	fileTablespace      = 332 // i32
	fileNameLength      = 336 // u16
	fileName            = 338 // 30 bytes
	fileRelative        = 368 // u32
	filePreviousID      = 416 // u32
	filePreviousSCN     = 420 // scn
	fileCheckpointSCN   = 484 // scn
	fileCheckpointTime  = 492 // time
	fileThread          = 496 // u16
	fileSequence        = 500 // u32

	statusBackup = 0x1
	statusFuzzy  = 0x4
	maxName      = 30
)

// header reads block 1.
func (d *DataFile) header(f fields) {
	d.Compatible, d.DBID, d.Database, d.ControlSequence = Version(f.u32(fileCompatible)), f.u32(fileDBID), f.text(fileDatabase, 8), f.u32(fileControlSequence)
	d.Blocks, d.File, d.RelativeFile = f.u32(fileBlocks), uint32(f.u16(fileNumber)), f.u32(fileRelative)
	d.Bigfile = f.u32(blockAddress)>>22 == 0
	d.CreationSCN, d.Created = f.scn(fileCreationSCN), f.time(fileCreated)
	d.ResetlogsID, d.ResetlogsSCN = f.u32(fileResetlogsID), f.scn(fileResetlogsSCN)
	d.PreviousResetlogsID, d.PreviousResetlogsSCN = f.u32(filePreviousID), f.scn(filePreviousSCN)
	d.BackupTime, d.BackupSCN, d.Status = f.time(fileBackupTime), f.scn(fileBackupSCN), f.u16(fileStatus)
	d.Tablespace, d.TablespaceName = int32(f.u32(fileTablespace)), f.text(fileName, min(maxName, int(f.u16(fileNameLength))))
	d.CheckpointSCN, d.CheckpointTime = f.scn(fileCheckpointSCN), f.time(fileCheckpointTime)
	d.CheckpointThread, d.CheckpointSequence = uint32(f.u16(fileThread)), f.u32(fileSequence)
}
