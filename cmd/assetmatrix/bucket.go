package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"

	"github.com/assetmatrix/assetmatrix/control/client"
)

// An object is a backup in a bucket, there or to be there. It is opened or written once.
type object struct {
	bucket    *blob.Bucket
	host, key string // the names of the bucket and of the object in it
	name      string // s3://bucket/key, which is all that errors say of the URL
}

// parsePlace returns what keeps a backup: the path of a file, or an object. It asks no server. Errors do not repeat the URL: there may be a secret in it.
func parsePlace(ctx context.Context, place string) (path string, o *object, err error) {
	if !strings.Contains(place, "://") {
		return place, nil, nil
	}
	u, err := url.Parse(place)
	switch {
	case err != nil:
		err = errors.New("the backup's URL cannot be read; what is special in a key is percent-encoded")
	case u.User != nil:
		err = errSecret
	case u.Fragment != "":
		err = errors.New("a # in a backup's URL is written %23")
	case u.Scheme == "file":
		path, err = filePath(u)
	case u.Scheme == s3blob.Scheme:
		o, err = openObject(ctx, u)
	default:
		err = fmt.Errorf("no backup is kept in %s://; allowed: s3://bucket/key, file:///path, a path", u.Scheme)
	}
	if err != nil {
		return "", nil, usageError{err}
	}
	return path, o, nil
}

var errSecret = errors.New("a URL is no place for credentials: they are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in the profile that AWS_PROFILE names")

// filePath returns the path in a file's URL. The file is written as every other is: blob's driver for files neither
// flushes them nor keeps others from reading them.
func filePath(u *url.URL) (string, error) {
	if u.Host != "" && u.Host != "localhost" || u.Path == "" || u.RawQuery != "" {
		return "", errors.New("a file's URL is file:///path, with nothing before the path and nothing behind it")
	}
	return filepath.FromSlash(u.Path), nil
}

// parameters of s3blob.URLOpener.
var parameters = []string{
	"accelerate", "anonymous", "disable_https", "dualstack", "endpoint", "fips", "kmskeyid", "profile", "region",
	"request_checksum_calculation", validation, "role", "ssetype", "use_path_style",
}

const validation = "response_checksum_validation"

// openObject reads s3://bucket/key?parameters.
func openObject(ctx context.Context, u *url.URL) (*object, error) {
	o := &object{host: u.Host, key: strings.TrimPrefix(u.Path, "/"), name: u.Scheme + "://" + u.Host + u.Path}
	if u.Host == "" || o.key == "" || strings.HasSuffix(o.key, "/") {
		return nil, fmt.Errorf("%s names no object; a backup is kept in s3://bucket/key", o.name)
	}
	if strings.Contains(o.key, "../") || strings.ContainsFunc(o.key, unicode.IsControl) { // blob would spell it otherwise
		return nil, fmt.Errorf("%q has a key that not every program can read; allowed: one without ../ and control characters", o.name)
	}
	q, err := parseParameters(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.name, err)
	}
	at := url.URL{Scheme: u.Scheme, Host: u.Host, RawQuery: q.Encode()}
	o.bucket, err = new(s3blob.URLOpener).OpenBucketURL(ctx, &at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.name, err)
	}
	return o, nil
}

func parseParameters(query string) (url.Values, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("what is behind the ? cannot be read")
	}
	for name := range q {
		if !slices.Contains(parameters, name) {
			return nil, fmt.Errorf("there is no parameter %q; allowed: %s", name, strings.Join(parameters, ", "))
		}
	}
	if q.Has("endpoint") {
		if err := checkEndpoint(q.Get("endpoint")); err != nil {
			return nil, err
		}
	}
	if !q.Has(validation) { // a backup has hashes of its own; the library complains of every store that sends none
		q.Set(validation, "when_required")
	}
	return q, nil
}

func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil:
		return errSecret
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "":
		return errors.New("the endpoint cannot be used; allowed: http://host:port, https://host:port")
	}
	return nil
}

// write makes the object of what receive writes, once that has succeeded. One that was there before stays until then.
func (o *object) write(ctx context.Context, receive func(io.Writer) (client.Manifest, error)) (client.Manifest, error) {
	defer func() { _ = o.bucket.Close() }()
	uploading, giveUp := context.WithCancel(ctx)
	defer giveUp()
	w, err := o.bucket.NewWriter(uploading, o.key, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return client.Manifest{}, o.failure(err)
	}
	into := &noting{inner: w}
	m, err := receive(into)
	if err != nil {
		giveUp() // before Close, which would make the object
	}
	broken := w.Close()
	o.removeParts(ctx, broken)
	switch {
	case broken != nil && ctx.Err() != nil:
		return m, ctx.Err()
	case into.err != nil:
		return m, o.failure(into.err)
	case err != nil:
		return m, err
	}
	return m, o.failure(broken)
}

// A noting writer keeps the error that ended the writing.
type noting struct {
	inner io.Writer
	err   error
}

// Write writes b.
func (n *noting) Write(b []byte) (int, error) {
	written, err := n.inner.Write(b)
	n.err = err
	return written, err
}

// removeTimeout is how long a store may take to remove what an upload has left.
const removeTimeout = 10 * time.Second

// removeParts removes what an upload in parts has left, which nobody sees but pays for: the library does not once the
// upload is given up.
func (o *object) removeParts(ctx context.Context, broken error) {
	var store *s3.Client
	upload, inParts := errors.AsType[transfermanager.MultipartUploadError](broken)
	if !inParts || !o.bucket.As(&store) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	id := upload.UploadID()
	_, _ = store.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &o.host, Key: &o.key, UploadId: &id})
}

// open returns the bytes of the object and their number.
func (o *object) open(ctx context.Context) (io.ReadCloser, int64, error) {
	r, err := o.bucket.NewReader(ctx, o.key, nil)
	if err != nil {
		return nil, 0, errors.Join(o.failure(err), o.bucket.Close())
	}
	return &opened{r, o.bucket}, r.Size(), nil
}

// An opened object closes its bucket with itself.
type opened struct {
	io.ReadCloser
	bucket *blob.Bucket
}

// Close ends the reading.
func (o *opened) Close() error { return errors.Join(o.ReadCloser.Close(), o.bucket.Close()) }

// failure says of err what can be helped, first of all.
func (o *object) failure(err error) error {
	if err == nil {
		return nil
	}
	answer, answered := errors.AsType[smithy.APIError](err)
	switch code := gcerrors.Code(err); {
	case answered && answer.ErrorCode() == "NoSuchBucket":
		return fmt.Errorf("%s: there is no such bucket", o.name)
	case code == gcerrors.NotFound:
		return fmt.Errorf("%s: there is no such object", o.name)
	case code == gcerrors.PermissionDenied:
		return fmt.Errorf("%s: the credentials do not allow it", o.name)
	case answered:
		return fmt.Errorf("%s: the store answers %s: %s", o.name, answer.ErrorCode(), answer.ErrorMessage())
	}
	if operation, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = operation // without the layers over it
	}
	return fmt.Errorf("%s: %w", o.name, err)
}
