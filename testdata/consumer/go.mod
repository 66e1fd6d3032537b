module example.com/merchant

go 1.26.0

require github.com/plural-go/plural v0.0.0

require github.com/google/uuid v1.6.0 // indirect

replace github.com/plural-go/plural => ../..
