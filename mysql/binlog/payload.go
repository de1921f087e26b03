package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"
)

// payloadWindow bounds the memory in which a payload is decompressed; zstd asks for at most 128 MiB at its highest level.
const payloadWindow = 128 << 20

// inner yields the events inside a TRANSACTION_PAYLOAD event, each with its length and, where the file has checksums, a checksum, as it would have been written alone. It needs memory for one of them.
func inner(raw []byte, checksums bool, yield func(raw []byte) error) error {
	body := raw[headerBytes:]
	if checksums {
		body = body[:len(body)-checksumBytes]
	}
	compressed, plain, err := payloadFields(body)
	if err != nil {
		return err
	}
	var r io.Reader = bytes.NewReader(compressed)
	if !plain {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(payloadWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	}
	var buf []byte
	for {
		buf, err = innerEvent(r, buf[:0])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if checksums {
			buf = append(buf, make([]byte, checksumBytes)...)
			resum(buf)
		}
		if err := yield(buf); err != nil {
			return err
		}
	}
}

// payloadFields reads the fields before the payload: numbers with a type and a length each, up to type 0.
func payloadFields(body []byte) (payload []byte, plain bool, err error) {
	for len(body) > 0 {
		field := body[0]
		if field == replication.OTW_PAYLOAD_HEADER_END_MARK {
			return body[1:], plain, nil
		}
		if len(body) < 2 || len(body) < 2+int(body[1]) {
			break
		}
		value := body[2 : 2+int(body[1])]
		if field == replication.OTW_PAYLOAD_COMPRESSION_TYPE_FIELD {
			// The value is one byte, or behind a mark of its width.
			kind := value
			if len(kind) == 3 && kind[0] == 0xfc {
				kind = kind[1:2]
			}
			if len(kind) != 1 || kind[0] != replication.ZSTD && kind[0] != replication.NONE {
				return nil, false, fmt.Errorf("a transaction that is compressed in a way (% x) that is not known", value)
			}
			plain = kind[0] == replication.NONE
		}
		body = body[2+len(value):]
	}
	return nil, false, errors.New("a compressed transaction whose fields make no sense")
}

func innerEvent(r io.Reader, buf []byte) ([]byte, error) {
	buf = append(buf, make([]byte, headerBytes)...)
	if _, err := io.ReadFull(r, buf); err != nil {
		if err != io.EOF {
			err = fmt.Errorf("a compressed transaction cannot be unpacked: %w", err)
		}
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(buf[sizeAt:]))
	if size < headerBytes {
		return nil, fmt.Errorf("a compressed transaction holds an event of %d bytes", size)
	}
	for int64(len(buf)) < size {
		have := len(buf)
		buf = append(buf, make([]byte, min(size-int64(have), stepBytes))...)
		if _, err := io.ReadFull(r, buf[have:]); err != nil {
			return nil, fmt.Errorf("a compressed transaction ends in the middle of an event: %w", io.ErrUnexpectedEOF)
		}
	}
	return buf, nil
}

// Where fields of an event are.
const (
	typeAt  = 4
	sizeAt  = 9
	flagsAt = 17
	// rowFlagsAt is where the flags of row events are: behind a table id of six bytes.
	rowFlagsAt = headerBytes + 6
)

// resum sets length and checksum of an event that ends in room for it.
func resum(raw []byte) {
	binary.LittleEndian.PutUint32(raw[sizeAt:], uint32(len(raw)))
	end := len(raw) - checksumBytes
	binary.LittleEndian.PutUint32(raw[end:], crc32.ChecksumIEEE(raw[:end]))
}
