"""Limits on a submission's process, which it cannot lift again. Linux only."""

import ctypes
import math
import os
import resource
import signal

from grading.sandbox.confinement.system_calls import can_be_filtered, filter_system_calls

# No limit on processes binds root, so under root a submission's process becomes a user of its own.
# These are above what systems assign; each server has as many as there may be jobs, by its process
# number, so that no two graders at once have one in common.
_FIRST_UID = 2**20
_UIDS_PER_SERVER = 512
# Where a container has only 2**16 users: Debian's policy assigns these to nobody.
_FEW_FIRST_UID, _FEW_LAST_UID = 60_000, 64_999

_NONE = (0, 0)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def become_nobody(slot: int) -> None:
    """Give up root, if the process has it, for an unprivileged user of this slot alone."""
    if os.geteuid() == 0:
        user = _user_of(os.getppid(), slot)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Die with the server. Set after the change of user, which would undo it.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _user_of(server: int, slot: int) -> int:
    """Return the user id for a slot of a server, which is given by its process number."""
    number = server * _UIDS_PER_SERVER + slot
    with open("/proc/self/uid_map") as lines:
        known = max(int(first) + int(count) for first, _, count in map(str.split, lines))
    if _FIRST_UID + number < known:
        return _FIRST_UID + number
    return _FEW_FIRST_UID + number % (_FEW_LAST_UID - _FEW_FIRST_UID + 1)


def hide_from_debuggers() -> None:
    """Deny other processes of the same user access to this one's memory (ptrace, /proc/PID/mem)."""
    _prctl(_PR_SET_DUMPABLE, 0)


def allow_many_files() -> int:
    """Let this process open as many files as it may at most, and return how many that is."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def limit_resources(memory: int, seconds: float) -> None:
    """Limit processor time, and memory to ``memory`` bytes more than the process has mapped now.

    From then on no process or thread can be started and no file written. Writing to what is not a
    file (the null device) still works.
    """
    seconds = math.ceil(seconds)
    with open("/proc/self/statm") as file:
        addresses = int(file.read().split()[0]) * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    # The soft limit sends SIGXCPU, the hard one kills whoever ignores that.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    for name in ("FSIZE", "NPROC", "CORE", "MEMLOCK", "MSGQUEUE"):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), _NONE)


def forbid_opening() -> None:
    """Let no file or socket be opened from now on.

    Where the kernel can filter system calls, nothing else that names a path or another process is
    let through either. Needs ``become_nobody``.
    """
    # Without bubblewrap this keeps an ONNX model from naming the file of the labels as its weights:
    # onnxruntime reads relative paths outside of the folder without complaint.
    resource.setrlimit(resource.RLIMIT_NOFILE, _NONE)
    if can_be_filtered():
        filter_system_calls()


def try_them(memory: int, seconds: float) -> None:
    """Fail now, and not at every submission, if the system does not grant the limits."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            become_nobody(0)
            limit_resources(memory, seconds)
            forbid_opening()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1] != 0:
        raise RuntimeError("a process cannot be confined here: no right to change its user")


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
