package pluralriver

// OnStep has a function called between the steps of working a job.
func OnStep[TTx any](cfg Config[TTx], step func(name string)) Config[TTx] {
	cfg.step = step
	return cfg
}
