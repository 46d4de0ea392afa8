"""A filter of system calls (seccomp) for a submission's process, which it cannot lift again.

Linux alone, from 4.17 on, on x86-64 and 64-bit ARM. What computing and answering take is allowed,
and nothing that names a path, another process or a namespace.
"""

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Mapping

# The number of each call, by the machine's name; a call that is not there has none.
_MACHINES = {"x86_64": 0, "aarch64": 1}
_AUDIT_ARCHITECTURE = (0xC000003E, 0xC00000B7)
_SECCOMP = (317, 277)
_ALLOWED = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "uname": (63, 160),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "getgroups": (115, 158),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "rseq": (334, 293),
}
# Allowed where the first argument, a process, is the caller or 0.
_OF_ITSELF = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
# These answer as the limits do, so that a row has the same reason with the filter and without.
_TOO_MANY_FILES = {
    "open": (2, None),
    "openat": (257, 56),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "memfd_create": (319, 279),
}
_TOO_MANY_PROCESSES = {
    "clone": (56, 220),
    "fork": (57, None),
    "vfork": (58, None),
    "clone3": (435, 435),
}

# linux/seccomp.h: operations, flags, and what a filter can answer.
_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_SPEC_ALLOW = 4  # without it, older kernels slow the process down
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
# linux/bpf_common.h: load a word of seccomp_data, compare it, answer.
_LOAD, _IF_EQUAL, _ANSWER = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data


def can_be_filtered() -> bool:
    """Tell whether this kernel has the filter, and this file the numbers of its calls."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    with contextlib.suppress(OSError):
        _seccomp(_SECCOMP[machine], _GET_ACTION_AVAIL, 0, ctypes.byref(ctypes.c_uint32(_ERRNO)))
        return True
    return False


def filter_system_calls() -> None:
    """Let no system call through from now on but those above. Needs ``no_new_privs``.

    Raises OSError if the kernel refuses the filter.
    """
    machine = _MACHINES[platform.machine()]
    program = _program(machine, os.getpid())
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _seccomp(_SECCOMP[machine], _SET_MODE_FILTER, _SPEC_ALLOW, header)


def _program(machine: int, process: int) -> bytes:
    """Return the filter as instructions of classic BPF, 8 bytes each."""

    def instruction(code: int, operand: int, skip_if: int = 0, skip_else: int = 0) -> bytes:
        return struct.pack("=HBBI", code, skip_if, skip_else, operand)

    def numbers(calls: Mapping[str, tuple[int, int | None]]) -> list[int]:
        return [number for pair in calls.values() if (number := pair[machine]) is not None]

    refuse = instruction(_ANSWER, _ERRNO | errno.EPERM)
    parts = [
        instruction(_LOAD, _ARCHITECTURE),
        instruction(_IF_EQUAL, _AUDIT_ARCHITECTURE[machine], skip_if=1),
        refuse,  # a call of 32 bits, whose numbers mean other things
        instruction(_LOAD, _NUMBER),
    ]
    answers = [
        (_ALLOWED, _ALLOW),
        (_TOO_MANY_FILES, _ERRNO | errno.EMFILE),
        (_TOO_MANY_PROCESSES, _ERRNO | errno.EAGAIN),
    ]
    for calls, answer in answers:
        for number in numbers(calls):
            parts += [instruction(_IF_EQUAL, number, skip_else=1), instruction(_ANSWER, answer)]
    for number in numbers(_OF_ITSELF):
        parts += [
            instruction(_IF_EQUAL, number, skip_else=5),
            instruction(_LOAD, _FIRST_ARGUMENT),
            instruction(_IF_EQUAL, 0, skip_if=1),
            instruction(_IF_EQUAL, process, skip_else=1),
            instruction(_ANSWER, _ALLOW),
            refuse,
        ]
    return b"".join([*parts, refuse])


def _seccomp(number: int, *arguments: object) -> None:
    if ctypes.CDLL(None, use_errno=True).syscall(number, *arguments) != 0:
        raise OSError(ctypes.get_errno(), "seccomp failed")
