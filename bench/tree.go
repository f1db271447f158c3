package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"
)

// A tree is a process on this machine, or several, with all that they have started.
type tree struct{ roots map[int]bool }

// treeOf is the tree of one process.
func treeOf(pid int) *tree { return &tree{map[int]bool{pid: true}} }

// errElsewhere says that no process of this machine that can be looked at listens there.
var errElsewhere = errors.New("no process on this machine is seen to listen there")

// treeListening is the tree of the processes that listen on an address of this machine; a server of several processes
// shares one socket among them (proc_pid_fd(5), proc_net_tcp(5)). Without one it fails with errElsewhere.
func treeListening(hostport string) (*tree, error) {
	at, err := localAddress(hostport)
	if err != nil {
		return nil, err
	}
	sockets, err := listening(at)
	if err != nil {
		return nil, err
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	t := &tree{map[int]bool{}}
	for _, p := range all {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue // it has ended, or is not ours to look at
		}
		for _, target := range targets {
			if sockets[target] {
				t.roots[p.PID] = true
			}
		}
	}
	if len(t.roots) == 0 {
		return nil, errElsewhere
	}
	return t, nil
}

// localAddress is an address of this machine; "localhost" is any of the loopback ones.
func localAddress(hostport string) (at netip.AddrPort, err error) {
	host, text, err := net.SplitHostPort(hostport)
	if err != nil {
		return at, err
	}
	addr, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return at, errElsewhere
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return netip.AddrPortFrom(addr, uint16(port)), err
}

// listening returns the sockets in state LISTEN that take connections to an address, as /proc shows them.
func listening(at netip.AddrPort) (map[string]bool, error) {
	const listen = 10 // TCP_LISTEN
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 a server's listening sockets are a few lines, for which netlink would be one more dependency
	four, err := fs.NetTCP()
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 see above
	six, _ := fs.NetTCP6() // there may be none
	sockets := map[string]bool{}
	for _, lines := range []procfs.NetTCP{four, six} {
		for _, line := range lines {
			own, _ := netip.AddrFromSlice(line.LocalAddr)
			own = own.Unmap()
			hears := own.IsUnspecified() || own == at.Addr() || !at.Addr().IsValid() && own.IsLoopback()
			if line.LocalPort == uint64(at.Port()) && line.St == listen && hears {
				sockets[fmt.Sprintf("socket:[%d]", line.Inode)] = true
			}
		}
	}
	return sockets, nil
}

// members are the processes of the tree that are there.
func (t *tree) members() (members []procfs.ProcStat, err error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	children := map[int][]procfs.ProcStat{}
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended
		}
		if t.roots[stat.PID] {
			members = append(members, stat)
			continue
		}
		children[stat.PPID] = append(children[stat.PPID], stat)
	}
	for i := 0; i < len(members); i++ {
		members = append(members, children[members[i].PID]...)
	}
	return members, nil
}

// userTicks is USER_HZ, in which the kernel tells every program times.
const userTicks = 100

// cpu returns the CPU time of the tree since it began, that of processes which have ended and were waited for included
// (proc_pid_stat(5)).
func (t *tree) cpu() (time.Duration, error) {
	members, err := t.members()
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, m := range members {
		ticks += int(m.UTime+m.STime) + m.CUTime + m.CSTime
	}
	return time.Duration(ticks) * time.Second / userTicks, nil
}

// rss returns how many bytes of memory the tree has. A page that several processes share counts once among them (Pss,
// proc_pid_smaps_rollup(5)), so that a server of many processes is not charged for one program many times.
func (t *tree) rss() (int64, error) {
	members, err := t.members()
	if err != nil {
		return 0, err
	}
	var bytes int64
	for _, m := range members {
		p, err := procfs.NewProc(m.PID)
		if err != nil {
			continue // it has ended
		}
		if rollup, err := p.ProcSMapsRollup(); err == nil {
			bytes += int64(rollup.Pss)
		} else {
			bytes += int64(m.ResidentMemory()) // another user's
		}
	}
	return bytes, nil
}

// descriptors returns how many files the processes of the tree have open.
func (t *tree) descriptors() (n int, err error) {
	members, err := t.members()
	if err != nil {
		return 0, err
	}
	for _, m := range members {
		if p, err := procfs.NewProc(m.PID); err == nil {
			if open, err := p.FileDescriptorsLen(); err == nil {
				n += open
			}
		}
	}
	return n, nil
}

// samplePause is between two looks at a tree's memory.
const samplePause = 100 * time.Millisecond

// A usage is what a tree has used while something went on.
type usage struct {
	cpu     time.Duration
	peakRSS int64 // bytes
	known   bool  // false of a subject on another machine
}

// use looks at the tree while work goes on; a nil tree has no usage.
func (t *tree) use(ctx context.Context, work func() error) (u usage, err error) {
	if t == nil {
		return u, work()
	}
	before, err := t.cpu()
	if err != nil {
		return u, err
	}
	looking, stop := context.WithCancel(ctx)
	var sampling sync.WaitGroup
	sampling.Go(func() { u.peakRSS = t.peak(looking) })
	err = work()
	stop()
	sampling.Wait()
	after, cpuErr := t.cpu()
	u.cpu, u.known = after-before, true
	return u, errors.Join(err, cpuErr)
}

func (t *tree) peak(ctx context.Context) (most int64) {
	for {
		if now, err := t.rss(); err == nil {
			most = max(most, now)
		}
		if sleepUntil(ctx, time.Now().Add(samplePause)) != nil {
			return most
		}
	}
}

// names says which programs the tree consists of.
func (t *tree) names() string {
	members, err := t.members()
	if err != nil {
		return ""
	}
	count := map[string]int{}
	var names []string
	for _, m := range members {
		name := m.Comm
		if p, err := procfs.NewProc(m.PID); err == nil {
			if file, err := p.Executable(); err == nil { // another user's is not told
				name = filepath.Base(file)
			}
		}
		if count[name]++; count[name] == 1 {
			names = append(names, name)
		}
	}
	for i, name := range names {
		if n := count[name]; n > 1 {
			names[i] = fmt.Sprintf("%s × %d", name, n)
		}
	}
	return strings.Join(names, ", ")
}
