package mtf_test

import (
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/tapesim"
)

// id makes a GUID that is told from others.
func id(n byte) (g [16]byte) {
	for i := range g {
		g[i] = n ^ byte(i*17)
	}
	return g
}

// pages makes n pages of 8 KiB, none like another.
func pages(n int, seed byte) []byte {
	b := make([]byte, n*8192)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// full is a full backup of two data files and a log file, WITH CHECKSUM.
func full() tapesim.Set {
	started := time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)
	return tapesim.Set{
		Type: 'D', GUID: id(1), Name: "nightly", User: `CORP\backup`, Database: "sales", Server: `DB7\PROD`, Machine: "DB7",
		First: tapesim.LSN{34, 2048, 37}, Last: tapesim.LSN{34, 2080, 1}, Checkpoint: tapesim.LSN{34, 2048, 37}, FullBackup: tapesim.LSN{33, 16, 1},
		FullGUID: id(9), Binding: id(2), Fork: id(3), FamilyGUID: id(4),
		Created: started.AddDate(-3, 0, 0), Started: started, Finished: started.Add(7 * time.Second), Zone: -20,
		Major: 13, DatabaseVersion: 852, Checksum: true,
		Groups: []string{"PRIMARY", "ARCHIVE"},
		Files: []tapesim.Database{
			{Logical: "sales", Physical: `D:\data\sales.mdf`, Group: 1, Size: 3 << 20, Pages: 24},
			{Logical: "sales_archive", Physical: `E:\data\sales_archive.ndf`, Group: 2, Size: 1 << 20, Pages: 8},
			{Logical: "sales_log", Physical: `L:\log\sales_log.ldf`, Size: 1 << 20, Pages: 2},
		},
		Pages: [][]byte{pages(24, 1), pages(8, 2)}, Log: pages(8, 3),
	}
}

// differential is based on full.
func differential() tapesim.Set {
	s := full()
	s.Type, s.GUID, s.Name = 'I', id(5), "evening"
	s.First, s.Last, s.Checkpoint, s.FullBackup = tapesim.LSN{35, 8, 1}, tapesim.LSN{35, 64, 1}, tapesim.LSN{35, 8, 1}, s.Checkpoint
	s.FullGUID, s.BaseGUID, s.BaseLSN = id(1), id(1), s.FullBackup
	s.Pages, s.Log = [][]byte{pages(8, 4)}, pages(8, 5)
	return s
}

// empty is a log backup without a record.
func empty() tapesim.Set {
	s := full()
	s.Type, s.GUID = 'L', id(6)
	s.First, s.Last = tapesim.LSN{35, 64, 1}, tapesim.LSN{35, 64, 1}
	s.Pages, s.Log = nil, nil
	return s
}

func media(sets ...tapesim.Set) tapesim.File {
	return tapesim.File{SetID: id(7), Name: "shelf", Sets: sets}
}

// stripes are a full backup spread over two files.
func stripes() [2]tapesim.File {
	var all [2]tapesim.File
	for i := range all {
		s := full()
		s.Pages = [][]byte{pages(16, byte(i))}
		if i > 0 {
			s.Log = nil
		}
		all[i] = media(s)
		all[i].Family, all[i].Families = i+1, 2
	}
	return all
}
