//go:build unix

package machine

import "golang.org/x/sys/unix"

// FreeDisk is what this user may still write to the file system of a folder, in bytes; ok is false where that is not known.
func FreeDisk(dir string) (bytes int64, ok bool) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
