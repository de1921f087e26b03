// Package config builds the jobs of an agent from a YAML file.
//
// A program says which applications it knows, in a Registry; the file says which of them to back up, where to and when:
//
//	sink: s3://backups?region=eu-west-1
//	stage: {dir: /var/tmp/obm, max: 20GiB}
//	seal: {recipients: [age1...]}
//	jobs:
//	  shop:
//	    application: mysql
//	    mysql: {dsn: {env: SHOP_DSN}}
//	    schedule: {full: "0 2 * * 0", log: "*/15 * * * *", verify: "@daily"}
//	    retention: {window: 14d, daily: 7, weekly: 4}
//
// doc/configuration.md of the project describes every key, testdata/full.yaml shows each of them once.
//
// # From file to jobs
//
// Load (or Parse) reads the file into a Config: typed, checked whole, with all defaults filled in, what stands at the top of the file given to
// every job, and what stands in "defaults" put, key by key, where a job says nothing. The section of a job that is named as its
// application belongs to that application, which binds it to a struct of its own:
//
//	type settings struct {
//		DSN         config.Secret `yaml:"dsn" config:"required"`
//		Connections int           `yaml:"connections"`
//	}
//
//	func (s *settings) Defaults() { s.Connections = 4 }
//
//	registry := config.Registry{"mysql": config.App(openMySQL)} // func(ctx, settings, to) (backup.Source, error)
//
// Config.Build opens the targets and makes an agent.Job of each job. Config.Print shows what holds in the end.
//
// # What is guaranteed
//
// Everything that is wrong with a file is reported at once, in the order of its lines, as a *Problems: unknown keys with the likeliest that was
// meant, values of another type, numbers without their unit, missing and doubled keys, secrets that are not there, keys that are none, and what does not
// agree between sections. A Config that was returned has none of these. What is doubtful but works is in Config.Warnings.
//
// A value in the file is taken as it is written or refused; 0 is a value, not a gap, wherever a gap has a default. No text of a Secret appears in a
// problem, in what Config.Print writes, or when a Config is printed, logged or marshalled. What Print writes parses again to the same jobs,
// unless a secret stood in the file itself, which is then refused where it is missing.
//
// Nothing is encrypted by chance or left plain by chance: without a recipient a file is refused unless it says plain: true.
//
// # What is not
//
// Load makes no contact with a target or an application: a password that is wrong, a bucket that is not there, shows when it is first used. A scheme
// whose driver the program does not link shows in Build. YAML's anchors, merge keys and tags are refused.
//
// A path in the file stands in the file's directory; one in an application's settings does when its field is a Path. Secrets that an application keeps in
// a plain string are printed as any other value.
package config
