"""A class's zip file as a course platform writes it: unpacked by a process in the sandbox.

No member's path is ever used as one: contents go to files with numbers, in a folder of their own.
"""

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from common.support.errors import UserError
from common.support.files import naming
from common.support.text import quoted, terminal_safe
from grading.platforms import known
from grading.platforms.upload import Parts
from grading.sandbox import members
from grading.sandbox.confinement import bubblewrap
from grading.sandbox.members import is_passed_over, parts_of
from grading.sandbox.portable.process import start_process
from grading.sandbox.wire import MAX_BYTES

_MAX_MEMBERS = 100_000
_MAX_EXPANDED = 8 * 2**30  # bytes
_SECONDS = 600
_ADVICE = "unpack it, and name its folder"

# What may be graded, and how many folders with such a file one student hardly hands in.
_GRADABLE = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx", ".keras", ".h5", ".csv", ".npy")
_FOLDERS_OF_A_CLASS = 3

# Of folders in the system's temporary folder.
_PREFIX = "mnist-grading-"
_SECONDS_TO_LOCK = 60

Packet = tuple[bytes, bytes]  # kind and content
Member = tuple[str, Path]  # its name in the zip file, and where its content is


@contextlib.contextmanager
def folder_to_unpack_in() -> Iterator[Path]:
    """Give a temporary folder that goes with the block; those that killed processes left go first.

    A process holds a lock on its folder, which ends with it.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is in use, or gone
            status = os.lstat(left)
            # Between making a folder and locking it there is a moment.
            if status.st_mtime < time.time() - _SECONDS_TO_LOCK:
                with _locked(left):
                    shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # where there are no locks, nobody gets one later either
            stack.enter_context(_locked(Path(name)))
        yield Path(name)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock on a folder. Raises OSError if another process or user has it."""
    if sys.platform == "win32":
        raise OSError("no folder can be locked here")
    try:
        import fcntl
    except ImportError as error:
        raise OSError("no folder can be locked here") from error
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise PermissionError("another user's folder")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def unpack_class(
    path: Path, folder: Path, isolation: str, platform: str = ""
) -> list[Member] | None:
    """Unpack a zip file into a new folder in ``folder``, under the ``isolation`` of submissions.

    None if it is not a class's, by the names in it, or no zip file at all. Of a member that is
    larger than a file may be there is one byte more than that.

    Raises UserError if it is too large or encrypted, or its process cannot be started.
    """
    ways = [isolation]
    if isolation == "auto":
        ways = ["bubblewrap", "process"] if bubblewrap.find() else ["process"]
    for way in ways:
        with _packets(path, way) as packets:
            if (first := next(packets, None)) is None:
                continue  # bubblewrap does not work here
            names = _names(path, itertools.chain([first], packets))
            if names is None:
                return None
            shown = _shown(names)
            if not known.recognise(shown, lambda _: "", known.insist(platform)):
                if platform:
                    raise known.refuse(path, platform, shown)
                _refuse_unknown_class(path, shown)
                return None
            return _write(path, names, packets, Path(tempfile.mkdtemp(dir=folder)))
    raise UserError(f"{path}: --isolation {isolation} does not work here: {_ADVICE}")


def _shown(names: list[str]) -> list[Parts]:
    parts = [tuple(parts_of(name)) for name in names]
    return [p for p in parts if p and p[0] != "__MACOSX" and p[0] != ".DS_Store"]


def _refuse_unknown_class(path: Path, shown: list[Parts]) -> None:
    """Raise UserError where several top folders have a file each that could be graded."""
    while shown and len({p[0] for p in shown}) == 1 and min(map(len, shown)) > 1:
        shown = [p[1:] for p in shown]
    of_folder: dict[str, str] = {}
    for parts in shown:
        if not any(map(is_passed_over, parts)) and parts[-1].lower().endswith(_GRADABLE):
            of_folder.setdefault(parts[0] if len(parts) > 1 else "", "/".join(parts))
    of_folder.pop("", None)
    if len(of_folder) < _FOLDERS_OF_A_CLASS:
        return
    seen = ", ".join(map(quoted, list(of_folder.values())[:3]))
    raise UserError(
        f"{path}: it looks like a class of {len(of_folder)} in a form of no platform that is "
        f"known: {seen}: unpack it, give each student one folder, and name the folder around them "
        "(or put one student's zip file into a folder, and name that)"
    )


@contextlib.contextmanager
def _packets(path: Path, isolation: str) -> Iterator[Iterator[Packet]]:
    """Start the process that unpacks, and give what it sends; it ends with the block."""
    with (
        path.open("rb") as file,
        start_process(
            *("grading.sandbox.unzip", [str(MAX_BYTES), str(_SECONDS)], isolation),
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        assert process.stdout is not None
        # Processor time is limited, time spent waiting is not.
        timer = threading.Timer(2 * _SECONDS, process.kill)
        timer.start()
        try:
            yield _read_packets(process.stdout)
        finally:
            timer.cancel()
            process.kill()


def _read_packets(stream: IO[bytes]) -> Iterator[Packet]:
    """Yield kind and content of each packet, until the first that breaks the rules."""
    while len(header := stream.read(members.PACKET.size)) == members.PACKET.size:
        kind, length = members.PACKET.unpack(header)
        if length > members.MAX_PIECE:
            return
        body = stream.read(length)
        if len(body) != length:
            return
        yield kind, body


def _names(path: Path, packets: Iterator[Packet]) -> list[str] | None:
    """Return the names of all members; None if the file is no zip file."""
    names: list[str] = []
    for kind, body in packets:
        if kind == members.END:
            return names
        if kind != members.NAME:
            break
        if len(names) == _MAX_MEMBERS:
            raise UserError(f"{path}: more than {_MAX_MEMBERS:,} members: {_ADVICE}")
        names.append(body.decode("utf-8", "replace"))
    return None


def _write(path: Path, names: list[str], packets: Iterator[Packet], folder: Path) -> list[Member]:
    left, written = _MAX_EXPANDED, []
    for number, name in enumerate(names):
        place = folder / str(number)
        # Whose name is a number in a folder that is gone by the time that the error is read.
        with naming(Path(tempfile.gettempdir())), place.open("wb") as file:
            for kind, body in packets:
                if kind == members.END:
                    written.append((name, place))
                    break
                if kind == members.REFUSED:
                    why = terminal_safe(body.decode("utf-8", "replace"))
                    raise UserError(f"{path}: {why}: {_ADVICE}")
                left -= len(body)
                if kind != members.PIECE or left < 0:
                    size = f"{_MAX_EXPANDED // 2**30} GiB"
                    raise UserError(f"{path}: it expands to more than {size}: {_ADVICE}")
                file.write(body)
    if len(written) < len(names):
        raise UserError(f"{path}: its unpacking broke off: {_ADVICE}")
    return written
