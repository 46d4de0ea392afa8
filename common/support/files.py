"""Files that are written whole or not at all, locks, and the JSON that the scripts exchange."""

import contextlib
import io
import itertools
import json
import os
import re
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import filelock

from common.support.errors import UserError

SCHEMA_VERSION = 2
_WRITE_ANEW = "write it anew with the script that made it"

# A document can be long: so many words are encoded at a time, and each row is decoded alone.
_WORDS = 10_000
_BEFORE_ROWS = b'  "results": [\n'

TEMPORARY = ".writing-"
# A file is written within seconds: an older one was left by a process that was killed.
_SECONDS_TO_WRITE = 60


def atomic_write(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader finds the old file or the new, never a part.

    A temporary file in the same folder is written, flushed to the disk and renamed over ``path``;
    then the folder is flushed, since a new name is only as durable as its folder.

    Raises UserError if ``path`` is no place for a file, OSError if it cannot be written to. It is
    then as it was before.
    """
    _write_pieces(Path(path), [content])


def _write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    require_target(path)
    with naming(path):  # the name of the temporary file would mean nothing to anyone
        _write_and_rename(path, pieces)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError name ``path``: that of a write to an open file names none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def require_target(path: Path) -> None:
    """Make the folder of ``path``, and refuse a path that is no place for a file.

    Raises UserError if a folder, a device or the like has that name, which renaming could destroy;
    OSError if the folder cannot be made.
    """
    if not path.name or (path.exists() and not path.is_file()):
        raise UserError(f"{path} is not a regular file: name another one to write to")
    path.parent.mkdir(parents=True, exist_ok=True)


def _write_and_rename(path: Path, pieces: Iterable[bytes]) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f"{TEMPORARY}{os.getpid()}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; what the scripts write is as readable as any other file. The
        # only way to read the umask is to set it; the scripts run one thread at this point.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows opens no folder
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def folder_lock(folder: Path, alternative: str, wait: bool = False) -> Iterator[None]:
    """Let no other process in here for the same folder; a process that dies gives up the lock.

    Temporary files that a killed process has left in the folder are removed. The folder is made if
    it is not there. ``wait`` waits for the other process to end, and says so, instead of stopping;
    ``alternative`` is what a user can do other than wait.

    Raises UserError if another process is in here; OSError if the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        if not wait:
            raise UserError(
                f"{folder} is in use by another process: wait until it ends, or {alternative}"
            ) from error
        print(f"Waiting for another process that writes into {folder} ...", file=sys.stderr)
        lock.acquire()
    try:
        for leftover in folder.glob(f"{TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):  # renamed or removed in the meantime
                if leftover.stat().st_mtime < time.time() - _SECONDS_TO_WRITE:
                    leftover.unlink()
        yield
    finally:
        lock.release()


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``document`` as indented UTF-8 JSON with sorted keys and the schema version.

    Raises ValueError if a number is NaN or infinite: JSON has neither.
    """
    content = {"schema_version": SCHEMA_VERSION, **document}
    _write_pieces(Path(path), _encode(content))


def _encode(content: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield a document in pieces: as a whole it would take more memory than what is in it."""
    encoder = json.JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    words = encoder.iterencode(content)
    while text := "".join(itertools.islice(words, _WORDS)):
        # Outside of strings JSON has nothing invisible but the newline. Elsewhere it stands in an
        # untrusted name or reason, and could reorder the line for whoever reads the file.
        yield re.sub(
            r"[^\n -~]", lambda c: c[0] if c[0].isprintable() else json.dumps(c[0])[1:-1], text
        ).encode()
    yield b"\n"


def read_json(path: Path, required: Sequence[str] = ()) -> dict[str, Any]:
    """Read a document that ``write_json`` wrote.

    Raises UserError if the file is missing, is no JSON object, has another schema version, or lacks
    one of the ``required`` keys.
    """
    try:
        document = _decode(Path(path))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {_WRITE_ANEW}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema_version {version!r:.40}, and this code reads {SCHEMA_VERSION}: "
            f"{_WRITE_ANEW}"
        )
    missing = [key for key in required if key not in document]
    if missing:
        raise UserError(f"{path} has no {missing[0]}: is it the right file?")
    return document


def _decode(path: Path) -> Any:  # noqa: ANN401
    """Decode a document, its rows one by one if they stand as ``write_json`` writes them."""
    with contextlib.suppress(ValueError):
        document, rows = _decode_rows(path)
        if not rows:
            return document
        if isinstance(document, dict) and document.get("results") == []:
            return document | {"results": rows}
    return _loads(path.read_bytes())


def _decode_rows(path: Path) -> tuple[Any, list[Any]]:
    """Return the document without its rows, and these. Raises ValueError if that does not work."""
    around: list[bytes] = []
    row: list[bytes] = []
    rows, is_inside = [], False
    with path.open("rb") as lines:
        for line in lines:
            if is_inside and line.startswith(b"  ]"):
                around += row  # no row, whatever it is
                is_inside = False
            (row if is_inside else around).append(line)
            if is_inside and line.startswith(b"    }"):
                rows.append(_loads(b"".join(row).rstrip(b",\n")))
                row = []
            is_inside = is_inside or line == _BEFORE_ROWS
    return _loads(b"".join(around)), rows


def _loads(content: bytes) -> Any:  # noqa: ANN401
    return json.loads(content, object_hook=_share, parse_constant=_refuse_constant)


def _share(entry: dict[str, Any]) -> dict[str, Any]:
    """Let equal strings be one: of thousands of rows, many have the same images."""
    return {key: sys.intern(x) if isinstance(x, str) else x for key, x in entry.items()}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def is_undamaged_zip(content: bytes) -> bool:
    """Tell whether all members of a zip file have their checksums, which torch does not look at."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.testzip() is None
    except Exception:  # a broken file raises more than zipfile names
        return False
