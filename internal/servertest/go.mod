module github.com/plural-go/plural/internal/servertest

go 1.25.0
