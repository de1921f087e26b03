package binlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// status is the state of the session in which a statement ran, as its event has it: the codes are those of section 9 of the notes, from the headers of both servers. What is not there is nil.
type status struct {
	flags2, sqlMode            *uint64
	autoIncrement              []uint64 // increment, offset
	charset                    []uint64 // client, connection, server
	timeZone                   *string
	timeNames, databaseCharset *uint64
	utf8mb4, explicitTimestamp *uint64
	primaryKey, encryption     *uint64
	microseconds               uint64
	unknown                    int // the code behind which nothing was read; -1: none
}

const (
	flagNotAutocommit   = 0x00080000
	flagAutoIsNull      = 0x00004000
	flagNoForeignKeys   = 0x04000000
	flagRelaxedUnique   = 0x08000000
	collationDatabaseOf = "@@session.collation_database"
)

// parseStatus reads status variables: a code each, and a value whose length the code tells. Behind a code that is not known nothing can be read.
func parseStatus(b []byte) (s status, err error) {
	// What has its default is left out of the event.
	s.unknown, s.autoIncrement, s.timeNames = -1, []uint64{1, 1}, new(uint64)
	r := &cursor{b: b}
	for len(r.b) > 0 && !r.short {
		switch code := r.u8(); code {
		case 0:
			s.flags2 = r.number(4)
		case 1:
			s.sqlMode = r.number(8)
		case 3:
			s.autoIncrement = []uint64{r.uint(2), r.uint(2)}
		case 4:
			s.charset = []uint64{r.uint(2), r.uint(2), r.uint(2)}
		case 5:
			zone := string(r.take(int(r.u8())))
			s.timeZone = &zone
		case 6:
			r.take(int(r.u8())) // catalog
		case 7:
			s.timeNames = r.number(2)
		case 8:
			s.databaseCharset = r.number(2)
		case 9, 17, 129:
			r.take(8) // tables of an update, ids of transactions
		case 11:
			r.take(int(r.u8()))
			r.take(int(r.u8())) // invoker
		case 12:
			r.databases()
		case 13, 128:
			s.microseconds = r.uint(3)
		case 16:
			s.explicitTimestamp = r.number(1)
		case 18:
			s.utf8mb4 = r.number(2)
		case 19:
			s.primaryKey = r.number(1)
		case 20:
			s.encryption = r.number(1)
		default:
			s.unknown = int(code)
			return s, nil
		}
	}
	if r.short {
		return s, fmt.Errorf("the state of the session in a statement is cut short")
	}
	return s, nil
}

// settings are the assignments that bring a session into the state.
func (s status) settings(mariadb bool) []string {
	var out []string
	set := func(name string, v *uint64) {
		if v != nil {
			out = append(out, name+"="+strconv.FormatUint(*v, 10))
		}
	}
	if s.flags2 != nil {
		on := func(not bool, flag uint64) string {
			if (*s.flags2&flag != 0) != not {
				return "1"
			}
			return "0"
		}
		out = append(out, "@@session.sql_auto_is_null="+on(false, flagAutoIsNull), "@@session.foreign_key_checks="+on(true, flagNoForeignKeys), "@@session.unique_checks="+on(true, flagRelaxedUnique))
	}
	set("@@session.sql_mode", s.sqlMode)
	out = append(out, fmt.Sprintf("@@session.auto_increment_increment=%d", s.autoIncrement[0]), fmt.Sprintf("@@session.auto_increment_offset=%d", s.autoIncrement[1]))
	if len(s.charset) == 3 {
		out = append(out, fmt.Sprintf("@@session.character_set_client=%d", s.charset[0]), fmt.Sprintf("@@session.collation_connection=%d", s.charset[1]), fmt.Sprintf("@@session.collation_server=%d", s.charset[2]))
	}
	if s.timeZone != nil {
		out = append(out, "@@session.time_zone='"+strings.ReplaceAll(*s.timeZone, "'", "''")+"'")
	}
	set("@@session.lc_time_names", s.timeNames)
	if s.databaseCharset != nil {
		set(collationDatabaseOf, s.databaseCharset)
	} else {
		out = append(out, collationDatabaseOf+"=DEFAULT")
	}
	if !mariadb {
		set("@@session.explicit_defaults_for_timestamp", s.explicitTimestamp)
		set("@@session.default_collation_for_utf8mb4", s.utf8mb4)
		set("@@session.sql_require_primary_key", s.primaryKey)
		set("@@session.default_table_encryption", s.encryption)
	}
	return out
}

// cursor takes values from bytes; short is set when there are too few.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.b) {
		c.short, c.b = true, nil
		return make([]byte, n)
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u8() byte { return c.take(1)[0] }

func (c *cursor) uint(n int) uint64 {
	var v [8]byte
	copy(v[:], c.take(n))
	return binary.LittleEndian.Uint64(v[:])
}

func (c *cursor) number(n int) *uint64 {
	v := c.uint(n)
	return &v
}

// databases skips the names of the databases a statement touched; 254 stands for too many.
func (c *cursor) databases() {
	n := c.u8()
	if n == 254 {
		return
	}
	for range n {
		i := bytes.IndexByte(c.b, 0)
		if i < 0 {
			c.short, c.b = true, nil
			return
		}
		c.b = c.b[i+1:]
	}
}
