"""Lock a forked process in: namespaces, mounts, limits, capabilities and a seccomp filter, through the C library.

Two processes take part. The *keeper* (`new_namespaces`) enters a new user, mount, PID, network, IPC, UTS and
cgroup namespace and forks. Its child is process 1 of the new PID namespace; it covers every writable place, gives up
all privileges (`lock_down`) and only then runs a student's code. When process 1 ends, the kernel kills whatever
it started.
"""

from __future__ import annotations

import ctypes
import os
import resource
import socket
from collections.abc import Mapping
from typing import Any

try:  # Debian's binding, or the one from PyPI with the same interface
    import seccomp
except ImportError:
    try:
        import pyseccomp as seccomp
    except (ImportError, OSError, RuntimeError):
        seccomp = None  # `build_filter` says so

CLONE_NEW = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "pid": 0x20000000,
    "network": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
}
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 16384, 1 << 18
MS_REMOUNT, MS_BIND = 32, 4096
PR_SET_PDEATHSIG, SIGKILL = 1, 9
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_SET_SECUREBITS = 4, 24, 38, 47, 28
PR_CAP_AMBIENT_CLEAR_ALL = 4
LOCKED_SECUREBITS = 0b101111  # no root, no set-uid fix-up, keep-caps off and locked
CAPABILITY_VERSION_3 = 0x20080522

LIBC = ctypes.CDLL(None, use_errno=True)

REFUSED = (  # system calls that no exercise needs and that attacks on a kernel or a neighbour start from
    "ptrace process_vm_readv process_vm_writev kcmp mount umount2 pivot_root chroot "
    "unshare setns name_to_handle_at open_by_handle_at bpf perf_event_open userfaultfd "
    "memfd_create shmget semget msgget mq_open socket socketpair setsockopt "  # memory that no figure shows
    "mincore preadv2 fadvise64 readahead "  # what is in the page cache, and out of it
    "keyctl add_key request_key init_module finit_module delete_module kexec_load kexec_file_load "
    "reboot swapon swapoff acct quotactl syslog settimeofday clock_settime clock_adjtime adjtimex "
    "setdomainname sethostname iopl ioperm modify_ldt personality lookup_dcookie nfsservctl vhangup "
    "fanotify_init fanotify_mark inotify_init inotify_init1 "
    "bind listen accept accept4 connect mknod mknodat"
).split()
# Since 424 system calls have one number everywhere. The C library does without those that an older kernel has not, and
# libseccomp does not know all names, so all are refused but close_range, openat2, faccessat2, epoll_pwait2 and fchmodat2.
RECENT = [number for number in range(424, 512) if number not in (436, 437, 439, 441, 452)]
ALL_BITS = 0xFFFFFFFF  # of an int; the kernel looks at no others
DONE, EPERM, ENOMEM, ENOSYS = 0, 1, 12, 38
REFUSED_WITH = (  # system call, which argument, which of its bits, their value, the answer
    ("mmap", 3, 0x21, 0x21, ENOMEM),  # MAP_SHARED | MAP_ANONYMOUS: memory that no process need map to keep
    ("mmap", 3, 0x40000, 0x40000, ENOMEM),  # MAP_HUGETLB
    ("madvise", 2, ALL_BITS, 20, EPERM),  # MADV_COLD and MADV_PAGEOUT push others' pages out of the page cache
    ("madvise", 2, ALL_BITS, 21, EPERM),
    ("fcntl", 1, ALL_BITS, 1024, EPERM),  # F_SETLEASE and F_NOTIFY tell of what others do with a file
    ("fcntl", 1, ALL_BITS, 1026, EPERM),
    # Locks on files that all sandboxes see would be seen by all. A submission's own files have no second user, so a lock
    # on them may as well be held without being made.
    *(("fcntl", 1, ALL_BITS, command, DONE) for command in (6, 7, 37, 38)),
    ("flock", 0, 0, 0, DONE),
    ("ioctl", 1, ALL_BITS, 0x5412, EPERM),  # TIOCSTI
)


class ConfinementError(OSError):
    """The kernel refused a step of the confinement, so the student's code was not started."""


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise ConfinementError(number, f"{what}: {os.strerror(number)}")


def stay_inspectable() -> None:
    """Undo what a change of user id does to `/proc/self`: without this a process cannot write its own uid map."""
    _checked(LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def new_namespaces() -> None:
    """Put the calling process, which must be single-threaded, into namespaces of its own; its children follow."""
    uid, gid = os.geteuid(), os.getegid()
    flags = 0
    for value in CLONE_NEW.values():
        flags |= value
    _checked(LIBC.unshare(ctypes.c_int(flags)), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"), ("gid_map", f"1000 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def private_mounts(disk: int) -> None:
    """Cover every place that is writable or tells about other processes: /tmp, /dev/shm and /proc.

    Args:
        disk: how many bytes the student's code may write in all.
    """

    def mount(source: bytes, target: bytes, kind: bytes | None, flags: int, data: bytes | None) -> None:
        result = LIBC.mount(source, target, kind, ctypes.c_ulong(flags), data)
        _checked(result, f"mount on {target.decode()}")

    safe = MS_NOSUID | MS_NODEV
    mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    for name in os.listdir("/dev"):  # noqa: PTH208 - one can still write to a device, but not change its mode and times
        if not os.path.isdir(f"/dev/{name}"):  # noqa: PTH112
            mount(
                b"none", f"/dev/{name}".encode(), None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, None
            )
    mount(b"tmpfs", b"/tmp", b"tmpfs", safe, f"size={disk},nr_inodes=4096,mode=0700".encode())
    mount(b"tmpfs", b"/dev/shm", b"tmpfs", safe, b"size=16m,nr_inodes=256,mode=0700")
    mount(b"tmpfs", b"/proc", b"tmpfs", safe | MS_NOEXEC | MS_RDONLY, b"size=4k,nr_inodes=2,mode=0555")


def set_limits(limits: Mapping[str, int]) -> None:
    """Set the resource limits of the calling process and of all it starts (soft equals hard: none can be raised)."""

    def fix(which: int, value: int) -> None:
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))

    fix(resource.RLIMIT_AS, address_space() + limits["memory"])
    fix(resource.RLIMIT_CPU, limits["cpu_seconds"])
    fix(resource.RLIMIT_FSIZE, limits["file_size"])
    fix(resource.RLIMIT_NOFILE, limits["open_files"])
    fix(resource.RLIMIT_NPROC, limits["processes"])
    fix(resource.RLIMIT_CORE, 0)
    fix(resource.RLIMIT_MSGQUEUE, 0)
    fix(resource.RLIMIT_MEMLOCK, 65536)


def address_space() -> int:
    """Return the size of this process's address space in bytes."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _checked(LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def first_to_be_killed() -> None:
    """Tell the kernel to take this process, not its neighbours, when memory runs out."""
    with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
        file.write("1000")


def drop_capabilities() -> None:
    """Give up every capability of the process's user namespace, for good."""
    LIBC.prctl(PR_SET_SECUREBITS, LOCKED_SECUREBITS, 0, 0, 0)
    for capability in range(64):
        if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    _checked(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def build_filter() -> object:
    """Make the seccomp filter.

    Raises:
        ConfinementError: there is no libseccomp.
    """
    if seccomp is None:
        raise ConfinementError(
            "libseccomp is missing: `apt-get install libseccomp2` (Debian, Ubuntu), `dnf install libseccomp`"
        )
    refuse = seccomp.ERRNO(EPERM)
    rules = seccomp.SyscallFilter(defaction=seccomp.ALLOW)
    for name in REFUSED:
        try:
            rules.add_rule(refuse, name)
        except (RuntimeError, OSError, ValueError):
            continue  # a call this machine's architecture does not have
    for number in RECENT:
        rules.add_rule(seccomp.ERRNO(ENOSYS), number)
    new_namespace = 0
    for value in CLONE_NEW.values():
        new_namespace |= value
    for bit in (1 << n for n in range(32) if new_namespace >> n & 1):
        rules.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, bit, bit))
    for name, argument, bits, value, number in REFUSED_WITH:
        rules.add_rule(seccomp.ERRNO(number), name, seccomp.Arg(argument, seccomp.MASKED_EQ, bits, value))
    return rules


def lock_down(limits: Mapping[str, int], rules: Any) -> None:
    """Confine process 1 of the new namespaces; what is called after this is a student's.

    Raises:
        ConfinementError: a step failed; the caller must exit.
    """
    os.setsid()  # a process group of its own: a signal to the group would reach the keeper, outside the namespace
    end_with_parent()
    first_to_be_killed()
    set_limits(limits)
    private_mounts(limits["disk"])
    os.makedirs("/tmp/work", mode=0o700)  # noqa: PTH103
    os.chdir("/tmp/work")
    socket.sethostname("sandbox")
    drop_capabilities()
    rules.load()
