package machine

import "golang.org/x/sys/windows"

// FreeDisk is what this user may still write to the volume of a folder, in bytes; ok is false where that is not known.
func FreeDisk(dir string) (bytes int64, ok bool) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, false
	}
	return int64(min(free, 1<<62)), true
}
