module github.com/plural-go/plural/printtest

go 1.26.0

replace github.com/plural-go/plural => ../

require (
	github.com/davecgh/go-spew v1.1.1
	github.com/plural-go/plural v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
	go.uber.org/zap v1.28.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
