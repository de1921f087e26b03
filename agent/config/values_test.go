package config_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "1B": 1, "1kB": 1000, "1KB": 1000, "1KiB": 1024, "20GiB": 20 << 30, "512MB": 512e6, "1.5TiB": 3 << 39, "0.5KiB": 512, "3 MiB": 3 << 20,
		"9223372036854775807": math.MaxInt64, "8191PiB": 8191 << 50,
	} {
		got, err := config.ParseSize(text)
		require.NoError(t, err, text)
		assert.EqualValues(t, want, got, text)
	}
	for _, text := range []string{"", " ", "-1", "+1", "1e3", "1/2", "0x10", "1.", ".5GiB", "20G", "1Mb", "1 2", "1.1B", "9223372036854775808", "8192PiB", "1MiB/s", "1_000", "١KiB"} {
		_, err := config.ParseSize(text)
		assert.Error(t, err, "%q", text)
	}
	for size, want := range map[config.Size]string{0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 1000: "1kB", 999: "999", 512e6: "512MB", 20 << 30: "20GiB", 3 << 39: "1536GiB",
		1024 * 1000: "1024kB", 1024*1000 + 1: "1024001"} {
		assert.Equal(t, want, size.String())
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "14d": 14 * 24 * time.Hour, "36h": 36 * time.Hour, "1w": 7 * 24 * time.Hour, "90m": 90 * time.Minute, "1d12h": 36 * time.Hour,
		"1w2d3h4m5s6ms7us8ns": 9*24*time.Hour + 3*time.Hour + 4*time.Minute + 5*time.Second + 6*time.Millisecond + 7*time.Microsecond + 8, "5ms": 5 * time.Millisecond,
		"9223372036854775807ns": math.MaxInt64,
	} {
		got, err := config.ParseDuration(text)
		require.NoError(t, err, text)
		assert.EqualValues(t, want, got, text)
	}
	for _, text := range []string{"", " ", "5", "d", "-1h", "+1h", "1.5h", "1h 30m", "1h1d", "1h1h", "1y", "1M", "9223372036854775808ns", "15251w", "1d106752d", "106751d24h", "99999999999999999999h"} {
		_, err := config.ParseDuration(text)
		assert.Error(t, err, "%q", text)
	}
	assert.Equal(t, "14d", config.Duration(14*24*time.Hour).String())
	assert.Equal(t, "1d12h", config.Duration(36*time.Hour).String())
}

// TestValuesPrintExactly: what is printed reads back as the same value, for values of every size and roundness.
func TestValuesPrintExactly(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	units := []int64{1, 1000, 1024, 1e6, 1 << 20, 1e9, 1 << 30, 60e9, 3600e9, 24 * 3600e9}
	for range 20000 {
		n := r.Int64() >> r.IntN(63)
		if u := units[r.IntN(len(units))]; n <= math.MaxInt64/u {
			n *= u
		}
		size, err := config.ParseSize(config.Size(n).String())
		require.NoError(t, err, n)
		require.EqualValues(t, n, size)
		rate, err := config.ParseRate(config.Rate(n).String())
		require.NoError(t, err, n)
		require.EqualValues(t, n, rate)
		d, err := config.ParseDuration(config.Duration(n).String())
		require.NoError(t, err, n)
		require.EqualValues(t, n, d)
		require.LessOrEqual(t, len(config.Size(n).String()), 19, "no longer than the bytes themselves")
	}
}

func TestSmallValues(t *testing.T) {
	t.Parallel()
	var p config.Percent
	for text, want := range map[string]float64{"0%": 0, "5%": 0.05, "100%": 1, "2.5%": 0.025, "7 %": 0.07} {
		require.NoError(t, p.UnmarshalText([]byte(text)))
		assert.InDelta(t, want, p.Share(), 1e-15)
	}
	for _, text := range []string{"", "%", "5", "101%", "-1%", "NaN%", "Inf%"} {
		assert.Error(t, p.UnmarshalText([]byte(text)), text)
	}
	var m config.Mode
	require.NoError(t, m.UnmarshalText([]byte("0770")))
	assert.EqualValues(t, 0o770, m)
	require.NoError(t, m.UnmarshalText([]byte("0o750")))
	assert.Equal(t, "0750", m.String())
	for _, text := range []string{"", "0888", "0077", "01777", "rwx"} {
		assert.Error(t, m.UnmarshalText([]byte(text)), text)
	}
	var d config.Weekday
	require.NoError(t, d.UnmarshalText([]byte("Saturday")))
	assert.Equal(t, "sat", d.String())
	var at config.Clock
	require.NoError(t, at.UnmarshalText([]byte("08:05")))
	assert.Equal(t, "08:05", at.String())
	assert.Error(t, at.UnmarshalText([]byte("24:00")))
	var c config.Cron
	for _, text := range []string{"0 2 * * *", "30 0 2 * * *", "@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@every 90m", "0 2 29 2 *", "0 22 * * FRI-MON"} {
		require.NoError(t, c.UnmarshalText([]byte(text)), text)
		assert.EqualValues(t, text, c)
	}
	for _, text := range []string{"", "@reboot", "@every", "@every -5m", "* * *", "0 0 30 2 *", "CRON_TZ=UTC 0 2 * * *", "@every 0s", "?"} {
		assert.Error(t, c.UnmarshalText([]byte(text)), text)
	}
}
