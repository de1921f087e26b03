package mssqlsim

import (
	"fmt"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// Messages, with the number, severity and text of the list of Database Engine errors. A name says what happened.

func failure(number int32, format string, args ...any) tds.Message {
	return tds.Message{Number: number, State: 1, Class: 16, Text: fmt.Sprintf(format, args...)}
}

func info(number int32, format string, args ...any) tds.Message {
	return tds.Message{Number: number, State: 1, Text: fmt.Sprintf(format, args...)}
}

// unknown refuses what this simulator was not taught. 50000 is the number of errors that users raise.
func unknown(what string) tds.Message { return failure(50000, "mssqlsim does not know: %s", what) }

func syntaxError(near string) tds.Message {
	m := failure(102, "Incorrect syntax near '%s'.", near)
	m.Class = 15
	return m
}

func unclosed(text string) tds.Message {
	m := failure(105, "Unclosed quotation mark after the character string '%s'.", text)
	m.Class = 15
	return m
}

func noDatabase(name string) tds.Message {
	return failure(911, "Database '%s' does not exist. Make sure that the name is entered correctly.", name)
}

func terminating(statement string) tds.Message {
	return failure(3013, "%s is terminating abnormally.", statement)
}

func cannotOpenDevice(path string, cause *DeviceError) tds.Message {
	return failure(3201, "Cannot open backup device '%s'. Operating system error %d(%s).", path, cause.Code, cause.Text)
}

func percentProcessed(n int) tds.Message { return info(3211, "%d percent processed.", n) }

func denied(what, database string) tds.Message {
	m := failure(262, "%s permission denied in database '%s'.", what, database)
	m.Class = 14
	return m
}

func readyToRecover() tds.Message {
	return info(4322, "This backup set contains records that were logged before the designated point in time. "+
		"The database is being left in the restoring state so that more roll forward can be performed.")
}

func noMarkYet() tds.Message {
	return info(4329, "This log file contains records logged before the designated mark. The database is being left in the Restoring state so you can apply another log file.")
}

func planningFailed() tds.Message {
	return failure(3119, "Problems were identified while planning for the RESTORE statement. Previous messages provide details.")
}
