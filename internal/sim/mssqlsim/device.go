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
