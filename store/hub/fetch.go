package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"hone/internal/until"
)

// chunk is how much is read before it is written: what a kill loses.
const chunk = 256 << 10

// ErrDigest is wrapped when a file's content is not what the hub says it is.
var ErrDigest = errors.New("wrong digest")

// Fetch brings one file of a listing to path, which may hold its first bytes from an earlier try: only what is missing
// is asked for. It returns nil when path holds the whole file, synced and with the right digest. Content with a wrong
// one is kept aside as path.bad and fetched once more. progress is called with the bytes that path holds.
//
// No other process may use path meanwhile.
func (c *Client) Fetch(ctx context.Context, l *Listing, f File, path string, progress func(have int64)) error {
	source := Source{Repo: l.Repo, Revision: l.Commit}
	if err := f.check(); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	var err error
	for range 2 {
		if err = c.fill(ctx, l, f, path, progress); err != nil {
			return c.explain(source, f.Path, err)
		}
		if err = f.Verify(ctx, path); !errors.Is(err, ErrDigest) {
			break
		}
		if c.Note != nil {
			c.Note(fmt.Sprintf("%s: %v; fetching it again", f.Path, err))
		}
		if aside := os.Rename(path, path+".bad"); aside != nil {
			return errors.Join(err, aside)
		}
	}
	if errors.Is(err, ErrDigest) {
		return fmt.Errorf("%s: %s: %w twice: the file on the hub, or the way to it, is damaged; what came is in %s.bad", source, f.Path, err, path)
	}
	return err
}

// fill appends to path until it has the file's size.
func (c *Client) fill(ctx context.Context, l *Listing, f File, path string, progress func(int64)) error {
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	have, err := out.Seek(0, io.SeekEnd)
	if err == nil && have > f.Size {
		have, err = 0, out.Truncate(0)
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	progress(have)
	err = c.insist(ctx, f.Path, func() (bool, error) {
		from := have
		if have == f.Size {
			return false, nil
		}
		err := c.append(ctx, l, f, out, &have, progress)
		return have > from, err
	})
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// append asks for what is missing behind *have and writes it there. *have grows with every write.
func (c *Client) append(ctx context.Context, l *Listing, f File, out *os.File, have *int64, progress func(int64)) error {
	r, err := c.get(ctx, c.at(l.Repo+"/resolve/"+l.Commit, strings.Split(f.Path, "/")...), *have)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	skip, err := position(r, *have, f.Size)
	if err != nil {
		return err
	}
	buffer := make([]byte, chunk)
	for *have < f.Size {
		n, err := r.Body.Read(buffer[:min(int64(len(buffer)), skip+f.Size-*have)])
		fresh := buffer[min(int64(n), skip):n]
		skip -= int64(n - len(fresh))
		if len(fresh) > 0 {
			written, full := out.WriteAt(fresh, *have)
			*have += int64(written)
			if full != nil {
				return fatal{full}
			}
			progress(*have)
		}
		if err == io.EOF && *have < f.Size {
			return io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// position tells how many bytes of a reply come before offset: none, or all of them when the hub does not know ranges.
func position(r *http.Response, offset, size int64) (skip int64, err error) {
	whole := r.ContentLength
	if r.StatusCode == http.StatusPartialContent {
		span, _ := strings.CutPrefix(r.Header.Get("Content-Range"), "bytes ")
		first, rest, _ := strings.Cut(span, "-")
		_, total, _ := strings.Cut(rest, "/")
		if first != strconv.FormatInt(offset, 10) {
			return 0, fatal{fmt.Errorf("the hub was asked for bytes from %d on and sent %q", offset, span)}
		}
		whole = -1
		if n, err := strconv.ParseInt(total, 10, 64); err == nil {
			whole = n
		}
	} else {
		skip = offset
	}
	if whole >= 0 && whole != size {
		return 0, fatal{fmt.Errorf("the hub lists %d bytes and sends %d", size, whole)}
	}
	return skip, nil
}

// Verify reads a file through, as long as ctx lasts, and compares it with the digest; a difference wraps ErrDigest.
func (f File) Verify(ctx context.Context, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var h hash.Hash = sha256.New()
	want := f.SHA256
	if want == "" {
		h, want = sha1.New(), f.Git
		fmt.Fprintf(h, "blob %d\x00", f.Size)
	}
	n, err := io.CopyBuffer(h, until.Reader(ctx, file), make([]byte, 1<<20))
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != f.Size || got != want {
		return fmt.Errorf("%w: %s of %d bytes, not %s of %d", ErrDigest, got, n, want, f.Size)
	}
	return nil
}
