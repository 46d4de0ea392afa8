"""One process at a time in a folder: an advisory lock that ends with the process that holds it."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from common.errors import UserError


@contextlib.contextmanager
def folder_lock(folder: Path, or_else: str, wait: bool = False) -> Iterator[None]:
    """Hold the lock of ``folder``, which is made if it is not there.

    Parameters
    ----------
    folder : Path
    or_else : str
        What else a user can do than wait, for the message.
    wait : bool
        Wait for another process to end, and say so, in place of stopping.

    Raises
    ------
    UserError
        If another process holds it.
    OSError
        If the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # The file stays: whoever removed it could take it from under a process that just opened it.
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if not _take(descriptor, fcntl.LOCK_NB):
            if not wait:
                raise UserError(
                    f"{folder} is in use by another process: wait until it ends, or {or_else}"
                )
            print(f"Waiting for another process that writes into {folder} ...", file=sys.stderr)
            _take(descriptor, 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, flags: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
    except BlockingIOError:
        return False
    return True
