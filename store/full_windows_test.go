package store

import "errors"

func limitFiles(uint64) error { return errors.New("left out: no limit on file sizes here") }
