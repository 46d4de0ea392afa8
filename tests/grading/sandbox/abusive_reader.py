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

from common.measuring import ClassAnswers, FileInfo
from common.support.errors import SubmissionError
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
