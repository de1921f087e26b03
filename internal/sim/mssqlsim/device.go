package mssqlsim

import (
	"context"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// Limits of devices.
const (
	maxDevices = 64
	maxURL     = 259
	maxPath    = 259
	megabyte   = 1 << 20
)

// checkDevices applies the rules for a list of devices.
func (in *Instance) checkDevices(devices []backupDevice) error {
	if len(devices) > maxDevices {
		return failure(3205, "Too many backup devices specified for backup or restore; only %d are allowed.", maxDevices)
	}
	for _, d := range devices {
		switch {
		case d.path == "":
			return failure(3044, "Invalid zero-length device name. Reissue the BACKUP statement with a valid device name.")
		case len(d.path) > maxPath:
			return failure(3057, "Invalid device name. The length of the device name provided exceeds supported limit (maximum length is:%d). "+
				"Reissue the BACKUP statement with a valid device name.", maxPath)
		case d.url != devices[0].url:
			return failure(3011, "All backup devices must be of the same general class (for example, DISK and TAPE).")
		}
	}
	return nil
}

// media finds what holds a device: the Media of the configuration, or for a URL what its credential opens.
func (in *Instance) media(d backupDevice) (Media, error) {
	if !d.url {
		return in.config.Media, nil
	}
	unsupported := cannotOpenDevice(d.path, &DeviceError{Code: 50, Text: "The request is not supported."})
	if in.config.Version.Major < 16 || in.config.Remote == nil || !strings.HasPrefix(strings.ToLower(d.path), "s3://") {
		return nil, unsupported
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	best := credential{}
	for _, c := range in.credentials {
		name := strings.TrimSuffix(strings.ToLower(c.name), "/")
		if strings.HasPrefix(strings.ToLower(d.path), name+"/") && len(c.name) > len(best.name) {
			best = c
		}
	}
	id, secret, ok := strings.Cut(best.secret, ":")
	switch {
	case best.name == "" || !ok:
		return nil, unsupported
	case best.identity != "S3 Access Key":
		return nil, failure(3233, "Invalid Identity Specified for the S3 Credential. Credential Identity should be S3 Access Key.")
	}
	return in.config.Remote(id, secret), nil
}

// read reads a device.
func (in *Instance) read(ctx context.Context, d backupDevice) (Family, []Set, error) {
	m, err := in.media(d)
	if err != nil {
		return Family{}, nil, err
	}
	return m.Read(ctx, d.path)
}

// pick reads the devices and finds the set that FILE names. The caller does not hold the lock.
func (in *Instance) pick(ctx context.Context, st restoreStatement) (Set, error) {
	if err := in.checkDevices(st.devices); err != nil {
		return Set{}, err
	}
	if st.devices[0].url && st.options.numbers["FILE"] > 0 {
		return Set{}, failure(3291, "URL device type was specified, and a disallowed option %s was specified.", "FILE")
	}
	var found []Set
	seen := map[int]string{}
	count := 0
	var mediaSet tds.GUID
	for i, d := range st.devices {
		family, sets, err := in.read(ctx, d)
		if err != nil {
			return Set{}, deviceMessage(ctx, d.path, err)
		}
		if i > 0 && family.MediaSet != mediaSet {
			return Set{}, failure(3258, "The volume on the device \"%s\" is not part of the media set that is currently being processed. "+
				"Ensure that the backup devices are loaded with the correct media.", d.path)
		}
		if first, ok := seen[family.Sequence]; ok {
			return Set{}, failure(3227, "The backup media on \"%s\" is part of media family %d which has already been processed on \"%s\". "+
				"Ensure that backup devices are correctly specified. For tape devices, ensure that the correct volumes are loaded.", d.path, family.Sequence, first)
		}
		seen[family.Sequence] = d.path
		found, count, mediaSet = sets, family.Count, family.MediaSet
	}
	if len(found) == 0 {
		return Set{}, failure(3254, "The volume on device '%s' is empty.", st.devices[0].path)
	}
	if len(seen) < count {
		return Set{}, failure(3132, "The media set has %d media families but only %d are provided. All members must be provided.", count, len(seen))
	}
	position := st.position()
	if position > len(found) {
		return Set{}, failure(4038, "Cannot find file ID %d on device '%s'.", position, st.devices[0].path)
	}
	set := found[position-1]
	if err := in.unlocked(set.EncryptorThumbprint, set.EncryptorType); err != nil {
		return Set{}, err
	}
	if st.options.has("CHECKSUM") && !set.Checksum {
		return Set{}, failure(3187, "RESTORE WITH CHECKSUM cannot be specified because the backup set does not contain checksum information.")
	}
	return set, nil
}

func (st restoreStatement) position() int { return max(1, st.options.numbers["FILE"]) }

// unlocked checks that master has the certificate or key that a set needs.
func (in *Instance) unlocked(thumbprint []byte, kind string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.holdsKey(thumbprint) {
		return nil
	}
	what := "certificate"
	if kind == "ASYMMETRIC_KEY" {
		what = "asymmetric key"
	}
	return failure(33111, "Cannot find server %s with thumbprint '0x%X'.", what, thumbprint)
}

// contradiction finds two options that exclude each other.
func (o options) contradiction() error {
	for _, pair := range [][2]string{
		{"CHECKSUM", "NO_CHECKSUM"}, {"COMPRESSION", "NO_COMPRESSION"}, {"INIT", "NOINIT"}, {"FORMAT", "NOFORMAT"}, {"SKIP", "NOSKIP"},
		{"STOP_ON_ERROR", "CONTINUE_AFTER_ERROR"}, {"RECOVERY", "NORECOVERY"}, {"NORECOVERY", "STANDBY"}, {"RECOVERY", "STANDBY"},
		{"KEEP_REPLICATION", "NORECOVERY"}, {"ENABLE_BROKER", "NEW_BROKER"}, {"ENABLE_BROKER", "ERROR_BROKER_CONVERSATIONS"}, {"NEW_BROKER", "ERROR_BROKER_CONVERSATIONS"},
	} {
		if o.given(pair[0]) && o.given(pair[1]) {
			return failure(3031, "Option '%s' conflicts with option(s) '%s'. Remove the conflicting option and reissue the statement.",
				strings.ToLower(pair[0]), strings.ToLower(pair[1]))
		}
	}
	return nil
}

func (o options) given(word string) bool {
	_, text := o.texts[word]
	return text || o.has(word)
}

// Bounds of BLOCKSIZE and MAXTRANSFERSIZE.
const (
	minBlock, maxBlock = 512, 64 << 10
	transferUnit       = 64 << 10
	maxTransfer        = 4 * megabyte
	minS3Transfer      = 5 * megabyte
	maxS3Transfer      = 20 * megabyte
	plainS3Transfer    = 10 * megabyte
)

// sizes checks the numbers that a BACKUP or RESTORE can be tuned with.
func (o options) sizes(url bool) error {
	outside := func(word string, n int) error {
		return failure(3250, "The value '%d' is not within range for the %s parameter.", n, strings.ToLower(word))
	}
	if n, ok := o.numbers["BLOCKSIZE"]; ok {
		if n < minBlock || n > maxBlock {
			return outside("BLOCKSIZE", n)
		}
		if n&(n-1) != 0 {
			return failure(3253, "The block size parameter must supply a value that is a power of 2.")
		}
	}
	if n, ok := o.numbers["BUFFERCOUNT"]; ok && n < 1 {
		return outside("BUFFERCOUNT", n)
	}
	n, ok := o.numbers["MAXTRANSFERSIZE"]
	low, high := transferUnit, maxTransfer
	if url {
		low, high = minS3Transfer, maxS3Transfer
	}
	switch {
	case !ok:
		return nil
	case n < low || n > high:
		return outside("MAXTRANSFERSIZE", n)
	case n%transferUnit != 0, url && n != plainS3Transfer && !o.has("COMPRESSION"):
		return failure(3217, "Invalid value specified for %s parameter.", "maxtransfersize")
	}
	return nil
}
