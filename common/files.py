"""Files that are written whole or not at all, and the JSON that the scripts hand each other."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from common.errors import UserError

SCHEMA_VERSION = 1


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader finds the old file or the new, never a part.

    A temporary file in the same folder is written, flushed to the disk and renamed over ``path``;
    then the folder itself is flushed, since the new name is only as durable as its folder.

    Raises
    ------
    OSError
        If the folder cannot be made or written to; ``path`` is then as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; what the scripts write is as readable as any other file.
        os.chmod(temporary, 0o666 & ~_current_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _current_umask() -> int:
    # The only way to read it is to set it; the scripts run one thread at this point.
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write ``document`` as indented UTF-8 JSON with sorted keys and the schema version.

    Raises
    ------
    ValueError
        If a number is NaN or infinite: JSON has neither.
    """
    text = json.dumps(
        {"schema_version": SCHEMA_VERSION, **document},
        indent=2,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
    )
    write_whole(path, f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a document that ``write_json`` wrote.

    Raises
    ------
    UserError
        If the file is missing, is no JSON object, or has a schema version this code does not know.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON: write it anew with the script that made it"
        ) from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema_version {version!r:.40}, and this code reads {SCHEMA_VERSION}: "
            "write it anew with the script that made it"
        )
    return document
