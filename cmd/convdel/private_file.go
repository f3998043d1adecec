package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Files with accounts in them are for the eyes of their owner only.

const (
	// privateMode lets only the owner read and write.
	privateMode fs.FileMode = 0o600
	// othersMode are the bits of a mode that concern everybody but the owner.
	othersMode fs.FileMode = 0o077
)

var errNoFile = errors.New("is no regular file")

// writePrivate makes a file with what write writes, mode 0600 whatever the umask. The file appears, in place of one of that
// name or of a symbolic link, only when all of it is written.
func writePrivate(name string, write func(io.Writer) error) error {
	if !replaceable(name) {
		return fmt.Errorf("write %s: %w", name, errNoFile)
	}
	// Only this process can have made the file: CreateTemp takes a name that nothing has yet, and mode 0600.
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	err = errors.Join(file.Chmod(privateMode), write(out), out.Flush(), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// replaceable says whether a file may take a name: a device, say, must not be replaced.
func replaceable(name string) bool {
	at, err := os.Lstat(name)
	return err != nil || at.Mode().IsRegular() || at.Mode()&fs.ModeSymlink != 0
}

// canWritePrivate says whether writePrivate can make the file now.
func canWritePrivate(name string) bool {
	if !replaceable(name) {
		return false
	}
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return false
	}
	return errors.Join(file.Close(), os.Remove(file.Name())) == nil
}

// keepPrivate takes others' permission to read away from standard output, if that is a file that has nothing in it. It warns
// of a file that others may read. flag names the one that makes a private file.
func keepPrivate(con *console, flag string) {
	out, ok := con.stdout.(*output)
	if !ok {
		return
	}
	at, err := out.file.Stat()
	if err != nil || !at.Mode().IsRegular() || at.Mode()&othersMode == 0 {
		return
	}
	if at.Size() == 0 && out.file.Chmod(privateMode) == nil {
		return
	}
	say(con.stderr, "others may read the file that standard output goes to (mode %04o): %s makes a private one\n", at.Mode().Perm(), flag)
}
