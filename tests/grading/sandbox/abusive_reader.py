"""A reader that does what a submission could do once it had the process in its hands.

Takes the place of the reader in the server that ``test_sandbox`` starts. The content of a
submission is a command in JSON.
"""

import ctypes
import json
import os
import signal
import socket
import time

import numpy as np

from common.support.errors import SubmissionError
from evaluations.rows import ClassAnswers, FileInfo
from grading.sandbox import wire
from grading.sandbox.reading import Network, Table


def warm_up(sizes, models):
    json.loads("[]")
    str(OSError(1, "x"))


def read_submission(files, sizes, num_images):
    (_, content), *_ = files
    name, *args = json.loads(content)
    if name == "ask":
        return Network(FileInfo(), lambda inputs: np.zeros(len(inputs), dtype=np.uint8))
    COMMANDS[name](*args)
    return Table(ClassAnswers(np.zeros(num_images, dtype=np.uint8)))


def spin():
    while True:
        pass


def sleep():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(3600)


def nap():
    time.sleep(0.7)


def ask_and_sleep():
    """Claim, again and again, to wait for the parent."""
    while True:
        for channel in range(3, 300):
            try:
                os.write(channel, wire.TRIED)
            except OSError:
                continue
            time.sleep(0.01)


def outlive_the_server():
    no_signal = 0
    ctypes.CDLL(None).prctl(1, no_signal, 0, 0, 0)  # PR_SET_PDEATHSIG
    sleep()


def outlive_the_clock():
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    spin()


def fork():
    for _ in range(1000):
        os.fork()


def start_threads():
    import threading

    threads = [threading.Thread(target=time.sleep, args=(3600,)) for _ in range(1000)]
    for thread in threads:
        thread.start()


def fill_memory():
    blocks = []
    while True:
        blocks.append(bytearray(2**24))


def fill_output():
    for _ in range(10_000):
        for descriptor in (0, 1, 2):
            os.write(descriptor, b"x" * 2**16)
    os._exit(0)


def write_file(path):
    with open(path, "wb") as file:
        file.write(b"x")


def keep_inherited_descriptors():
    """Write to all that is open: only the channel on which normalisations are asked for."""
    written = []
    for descriptor in range(3, 300):
        try:
            os.write(descriptor, b"\0" * 64)
        except OSError:
            continue
        written.append(descriptor)
    if len(written) != 1:
        raise SubmissionError(f"descriptors {written} were left open")


def kill(target, number=signal.SIGKILL):
    victim = {"self": os.getpid(), "parent": os.getppid(), "all": -1}.get(target)
    if target == "group":
        os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
    else:
        try:
            os.kill(victim, number)
        except PermissionError as error:
            raise SubmissionError(str(error)) from error


def crash():
    ctypes.string_at(0)


def leave(status):
    os._exit(status)


def read_file(path):
    with open(path, "rb") as file:
        raise SubmissionError(f"read {file.read()!r}")


def connect(port):
    socket.create_connection(("127.0.0.1", port))
    raise SubmissionError("connected")


def name_paths(folder):
    """Try what needs no open file, and say which calls went through."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(function, *args):
        if function(*args) < 0:
            raise OSError(ctypes.get_errno(), "refused")

    new_user_namespace, shared = 0x10000000, 0o1600
    calls = {
        "mkdir": lambda: os.mkdir(f"{folder}/new"),
        "symlink": lambda: os.symlink("x" * 1000, f"{folder}/link"),
        "mknod": lambda: os.mknod(f"{folder}/node", 0o100666),
        "mkfifo": lambda: os.mkfifo(f"{folder}/fifo"),
        "truncate": lambda: os.truncate(f"{folder}/victim", 0),
        "rename": lambda: os.rename(f"{folder}/victim", f"{folder}/renamed"),
        "link": lambda: os.link(f"{folder}/victim", f"{folder}/linked"),
        "unlink": lambda: os.unlink(f"{folder}/victim"),
        "rmdir": lambda: os.rmdir(f"{folder}/empty"),
        "chmod": lambda: os.chmod(f"{folder}/victim", 0o600),
        "utime": lambda: os.utime(f"{folder}/victim"),
        "setxattr": lambda: os.setxattr(f"{folder}/victim", "user.x", b"x"),
        "stat": lambda: os.stat(f"{folder}/victim"),
        "access": lambda: os.access(f"{folder}/victim", os.F_OK) or call(lambda: -1),
        "statvfs": lambda: os.statvfs(folder),
        "chdir": lambda: os.chdir(folder),
        "execve": lambda: os.execv("/bin/true", ["true"]),
        "user namespace": lambda: call(libc.unshare, new_user_namespace),
        "shared memory": lambda: call(libc.shmget, 0, ctypes.c_size_t(1 << 16), shared),
        "message queue": lambda: call(libc.msgget, 0, shared),
        "inotify": lambda: call(libc.inotify_init),
        "signal": lambda: os.kill(os.getppid(), 0),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
        "ptrace": lambda: call(libc.ptrace, 0, 0, 0, 0),
    }
    went_through = []
    for name, attempt in calls.items():
        try:
            attempt()
        except OSError:
            continue
        went_through.append(name)
    raise SubmissionError(f"went through: {', '.join(went_through) or 'none'}")


def tell_environment():
    raise SubmissionError(" ".join(sorted(os.environ.values())))


def tell_user():
    raise SubmissionError(f"uid {os.getuid()}, groups {os.getgroups()}")


def raise_limits():
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    raise SubmissionError("raised")


def nothing():
    pass


COMMANDS = {name: thing for name, thing in list(globals().items()) if callable(thing)}
