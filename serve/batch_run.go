package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hone/internal/durable"
)

// Batch answers a file of requests, one a line, into a file of answers in the same order.
//
// Answers are appended to Out.part, which becomes Out when every line has one. Out.part is the record of the work: each
// answer carries a digest of its line, its place and Salt, so that a run that was ended in any way goes on behind the last
// whole answer, and another input or model is noticed.
type Batch struct {
	Server  *Server // its queue must take the most choices that a line may ask for
	In, Out string
	Size    int    // lines under way at once; 0: 32
	Salt    string // what answers depend on besides their lines, such as the model's digest
	// Progress, when set, is called with the lines that are answered, and how much of the input's bytes they are.
	Progress func(lines int, bytes, all int64)
}

// BatchSummary says what came of a Batch.
type BatchSummary struct {
	Lines    int `json:"lines"`
	Answered int `json:"answered"` // with status 200
	Refused  int `json:"refused"`  // by the endpoint, with another status
	Invalid  int `json:"invalid"`  // lines that are no requests
	Resumed  int `json:"resumed"`  // lines that an earlier run had answered

	PromptTokens     int `json:"prompt_tokens"` // of the lines that this run answered
	CompletionTokens int `json:"completion_tokens"`
}

// ErrOtherBatch is wrapped when what lies at Out is not the answers to this input.
var ErrOtherBatch = errors.New("answers to something else")

// batchRun is a Batch under way.
type batchRun struct {
	*Batch
	BatchSummary
	in    *lineReader
	out   *os.File
	bytes int64 // of the input
}

// Run answers what has no answer yet. After an error, or the end of ctx, the same call goes on.
func (b *Batch) Run(ctx context.Context) (BatchSummary, error) {
	set(&b.Size, 32)
	r := &batchRun{Batch: b}
	in, err := os.Open(b.In)
	if err != nil {
		return r.BatchSummary, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return r.BatchSummary, err
	}
	if !st.Mode().IsRegular() {
		return r.BatchSummary, fmt.Errorf("%s is no regular file: a batch reads its input again when it goes on", b.In)
	}
	if other, err := os.Stat(b.Out); err == nil && os.SameFile(st, other) {
		return r.BatchSummary, fmt.Errorf("%s would be overwritten by its answers: choose another output", b.In)
	}
	r.bytes, r.in = st.Size(), newLineReader(in, maxLine(b.Server.limits.BodyBytes))
	done, err := r.finished()
	if done || err != nil {
		return r.BatchSummary, err
	}
	return r.BatchSummary, r.append(ctx)
}

// finished tells whether Out is there and answers the whole input.
func (r *batchRun) finished() (bool, error) {
	out, err := os.Open(r.Out)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer out.Close()
	end, err := r.recall(out, r.Out)
	if err != nil {
		return false, err
	}
	st, err := out.Stat()
	if err != nil {
		return false, err
	}
	if _, more := r.in.next(); more != io.EOF || end != st.Size() {
		return false, fmt.Errorf("%s: %w: it ends after %d lines of %s; remove it, or choose another output", r.Out, ErrOtherBatch, r.Lines, r.In)
	}
	return true, nil
}

// append goes on with Out.part.
func (r *batchRun) append(ctx context.Context) error {
	part := r.Out + ".part"
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer out.Close()
	if free, err := durable.LockFile(out); err != nil || !free {
		return errors.Join(err, fmt.Errorf("%s: another process writes it: wait for it, or choose another output", part))
	}
	end, err := r.recall(out, part)
	if err == nil {
		err = out.Truncate(end)
	}
	if err == nil {
		_, err = out.Seek(end, io.SeekStart)
	}
	if err != nil {
		return err
	}
	r.out = out
	err = r.answerAll(ctx)
	if sync := out.Sync(); err == nil {
		err = sync
	}
	if closed := out.Close(); err == nil { // an open file cannot be renamed everywhere
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Rename(part, r.Out); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(r.Out))
}

// recall reads the answers of an earlier run beside the input. It returns where the last whole one ends.
func (r *batchRun) recall(out *os.File, name string) (end int64, err error) {
	answers := bufio.NewReaderSize(out, 1<<20)
	for {
		answer, err := answers.ReadBytes('\n')
		if err == io.EOF || err == nil && answer[0] == 0 { // a torn line, or a piece that a crash of the system left blank
			return end, nil
		}
		if err != nil {
			return end, err
		}
		line, err := r.in.next()
		if err != nil && err != io.EOF {
			return end, err
		}
		if err == io.EOF || !bytes.HasPrefix(answer, []byte(keyOf(r.Salt, r.Lines, line).head())) {
			return end, fmt.Errorf("%s: %w: its line %d does not answer line %d of %s with this model and these settings; remove it, or choose another output",
				name, ErrOtherBatch, r.Lines+1, r.Lines+1, r.In)
		}
		var reply batchReply
		if err := json.Unmarshal(answer, &reply); err != nil {
			return end, fmt.Errorf("%s: line %d is damaged (%w): remove it, or choose another output", name, r.Lines+1, err)
		}
		end += int64(len(answer))
		r.count(&reply)
		r.Resumed++
	}
}

func (r *batchRun) count(reply *batchReply) {
	r.Lines++
	switch {
	case reply.Response == nil:
		r.Invalid++
	case reply.Response.Status == 200:
		r.Answered++
	default:
		r.Refused++
	}
}

// lineAnswer is a line's answer once it is there.
type lineAnswer struct {
	reply batchReply
	err   error
	read  int64 // bytes of the input up to its line
}

// ahead is how many times the lines under way may wait for an earlier one to be written.
const ahead = 8

// answerAll keeps Size lines under way and writes their answers in order.
func (r *batchRun) answerAll(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan chan lineAnswer, ahead*r.Size)
	failed := make(chan error, 1)
	go func() {
		failed <- r.ask(ctx, queue)
		close(queue)
	}()
	var first error
	for slot := range queue {
		a := <-slot
		if first == nil {
			if first = a.err; first == nil {
				first = r.write(&a)
			}
			if first != nil {
				cancel(first)
			}
		}
	}
	if ended := <-failed; first == nil {
		first = ended
	}
	return first
}

// ask starts a line whenever there is room for one.
func (r *batchRun) ask(ctx context.Context, queue chan<- chan lineAnswer) error {
	room := make(chan struct{}, r.Size)
	for index := r.Lines; ; index++ {
		line, err := r.in.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.In, err)
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		slot, read, key := make(chan lineAnswer, 1), r.in.read, keyOf(r.Salt, index, line)
		line = bytes.Clone(line)
		go func() {
			reply, err := r.Server.answerLine(ctx, line, key)
			<-room
			slot <- lineAnswer{reply, err, read}
		}()
		queue <- slot
	}
}

func (r *batchRun) write(a *lineAnswer) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a.reply); err != nil {
		return err
	}
	if _, err := r.out.Write(b.Bytes()); err != nil {
		return err
	}
	r.count(&a.reply)
	if a.reply.Response != nil {
		var body struct{ Usage usage }
		if json.Unmarshal(a.reply.Response.Body, &body) == nil {
			r.PromptTokens += body.Usage.PromptTokens
			r.CompletionTokens += body.Usage.CompletionTokens
		}
	}
	if r.Progress != nil {
		r.Progress(r.Lines, a.read, r.bytes)
	}
	return nil
}

// lineReader reads lines of any length in bounded memory.
type lineReader struct {
	in   *bufio.Reader
	most int64
	line []byte
	read int64 // bytes so far
}

func newLineReader(in io.Reader, most int64) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10), most: most}
}

// next returns the next line without its end, cut a byte behind the limit; it is valid until the next call. The last
// line may lack its end.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	for {
		piece, err := l.in.ReadSlice('\n')
		l.read += int64(len(piece))
		if room := l.most + 2 - int64(len(l.line)); room > 0 { // one more byte, and a line end
			l.line = append(l.line, piece[:min(int64(len(piece)), room)]...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(l.line) > 0:
			return bytes.TrimSpace(l.line), nil
		case err != nil:
			return nil, err
		}
		return bytes.TrimSpace(l.line), nil
	}
}
