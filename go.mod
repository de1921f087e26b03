module github.com/quiesce-go/quiesce

go 1.26.0
