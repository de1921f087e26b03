package s3endpoint

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
)

// fault is an error as S3 tells it to a client.
type fault struct {
	status        int
	code, message string
}

func faultf(status int, code, format string, args ...any) error {
	return &fault{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (f *fault) Error() string { return f.code + ": " + f.message }

// asFault is err as a fault. What is none is not told to the client, who is a stranger to it.
func asFault(err error) *fault {
	if f := (*fault)(nil); errors.As(err, &f) {
		return f
	}
	return &fault{status: http.StatusInternalServerError, code: "InternalError", message: "see the log of the backup agent"}
}

// The answers of S3, as far as they are given.
type (
	errorAnswer struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Resource  string
		RequestID string `xml:"RequestId"`
	}
	locationAnswer struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}
	createAnswer struct {
		XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}
	completeAnswer struct {
		XMLName                     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location, Bucket, Key, ETag string
	}
	partAnswer struct {
		PartNumber int
		ETag       string
		Size       int64
	}
	partsAnswer struct {
		XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket, Key          string
		UploadID             string `xml:"UploadId"`
		PartNumberMarker     int
		NextPartNumberMarker int `xml:",omitempty"`
		MaxParts             int
		IsTruncated          bool
		Parts                []partAnswer `xml:"Part"`
	}
	listedObject struct {
		Key, LastModified, ETag string
		Size                    int64
		StorageClass            string
	}
	listedPrefix struct{ Prefix string }
	listAnswer   struct {
		XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
		Name, Prefix          string
		Delimiter             string `xml:",omitempty"`
		MaxKeys               int
		KeyCount              int
		IsTruncated           bool
		Marker                string         `xml:",omitempty"`
		NextMarker            string         `xml:",omitempty"`
		StartAfter            string         `xml:",omitempty"`
		ContinuationToken     string         `xml:",omitempty"`
		NextContinuationToken string         `xml:",omitempty"`
		Contents              []listedObject `xml:"Contents"`
		CommonPrefixes        []listedPrefix `xml:"CommonPrefixes"`
	}
)

// completeRequest is what CompleteMultipartUpload sends.
type completeRequest struct {
	XMLName xml.Name     `xml:"CompleteMultipartUpload"`
	Parts   []listedPart `xml:"Part"`
}

// listedPart is a part as the client believes it to be.
type listedPart struct {
	PartNumber int
	ETag       string
}
