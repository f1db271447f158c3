package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An Environment is what the figures were measured on.
type Environment struct {
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"` // that this process may use
	MemoryBytes int64  `json:"memory_bytes"`
	Kernel      string `json:"kernel"`
	Go          string `json:"go"`
	// FileSystem is the type of what the data was on.
	FileSystem string `json:"file_system"`
	Version    string `json:"version"` // of the program
	Quick      bool   `json:"quick"`
}

func environmentOf(dir string, o Options) (Environment, error) {
	fs, err := FileSystem(dir)
	if err != nil {
		return Environment{}, err
	}
	return Environment{
		CPU: procValue("/proc/cpuinfo", "model name", runtime.GOARCH), Cores: runtime.GOMAXPROCS(0), MemoryBytes: memory(),
		Kernel: kernel(), Go: runtime.Version(), FileSystem: fs, Version: o.Version, Quick: o.Quick,
	}, nil
}

// String says it in a line.
func (e Environment) String() string {
	size := ""
	if e.Quick {
		size = ", quick"
	}
	return fmt.Sprintf("%s, %d cores, %.0f GB, Linux %s, %s, %s; assetmatrix %s%s",
		e.CPU, e.Cores, float64(e.MemoryBytes)/1e9, e.Kernel, e.FileSystem, e.Go, e.Version, size)
}

// FileSystem returns the type of the file system that path is on, as mount(8) calls it.
func FileSystem(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	return mountedAt(mounts, real), nil
}

// mountedAt returns the type of the last mount at the longest prefix of path (proc_pid_mountinfo(5)).
func mountedAt(mounts []byte, path string) string {
	at, kind := "", "unknown"
	for line := range bytes.Lines(mounts) {
		before, after, _ := strings.Cut(string(line), " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(types) == 0 {
			continue
		}
		if point := mountPoint.Replace(fields[4]); len(point) >= len(at) && below(path, point) {
			at, kind = point, types[0]
		}
	}
	return kind
}

// mountPoint takes the kernel's escapes off a mount point.
var mountPoint = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// memory is the machine's, or what the control group of this process may take when that is less; in bytes.
func memory() int64 {
	kilobytes, _, _ := strings.Cut(procValue("/proc/meminfo", "MemTotal", "0"), " ")
	total, _ := strconv.ParseInt(kilobytes, 10, 64)
	total *= 1024
	text, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if limit, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil {
		return min(total, limit)
	}
	return total
}

// procValue returns the first value of key in a file of "key : value" lines, or otherwise.
func procValue(file, key, otherwise string) string {
	f, err := os.Open(file)
	if err != nil {
		return otherwise
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return otherwise
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
