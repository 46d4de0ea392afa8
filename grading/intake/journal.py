"""The rows of a grading under way: a line each, in a file beside the evaluation.

Under torchrun each rank has a file of its own.
"""

import contextlib
import glob
import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from common.support import distributed
from common.support.errors import UserError
from common.support.files import SCHEMA_VERSION, atomic_write, naming
from evaluations.rows import Row

# What an evaluation says of when its rows hold: the first line of the file.
CONDITIONS = ("dataset", "versions", "limits", "threshold")


class Journal:
    """Appends rows to the file of this rank: a kill costs at most the row that is being written.

    ``output`` is the evaluation, and ``fields`` are those of its header.
    """

    def __init__(self, output: Path, fields: dict[str, Any]) -> None:
        rank = distributed.rank()
        self.path = output.with_name(f"{output.stem}.rows{f'-{rank}' if rank else ''}.jsonl")
        conditions = {key: fields[key] for key in CONDITIONS if key in fields}
        self._first = {"schema_version": SCHEMA_VERSION, **conditions}
        self._file: IO[bytes] | None = None

    def begin(self, rows: Iterable[Row]) -> None:
        """Put a file with these rows in the place of any earlier one."""
        self.close()
        atomic_write(self.path, b"".join(map(_line, [self._first, *rows])))

    def append(self, row: Row) -> None:
        """Add a row, to a new file if there is none. Raises OSError that names the file."""
        if self._file is None:
            if not self.path.exists():
                self.begin([])
            self._file = self.path.open("ab")
        with naming(self.path):
            self._file.write(_line(row))
            self._file.flush()

    def close(self) -> None:
        """Close the file, which stays."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a row for which there was no room
                self._file.close()
            self._file = None

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.close()
        self.path.unlink(missing_ok=True)


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False).encode() + b"\n"


def journals_of(output: Path) -> list[Path]:
    """Return the files of all ranks beside an evaluation."""
    return sorted(output.parent.glob(f"{glob.escape(output.stem)}.rows*.jsonl"))


def read_journal(path: Path) -> dict[str, Any]:
    """Return the conditions and, as ``results``, the rows; a line that a kill has torn is left out.

    Raises UserError if there are no conditions that this code wrote.
    """
    documents = []
    with path.open("rb") as lines:
        for line in lines:
            try:
                documents.append(json.loads(line))
            except ValueError:
                break
    first, *rows = documents or [None]
    if not isinstance(first, dict) or first.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{path} is no file of rows: remove it")
    return {**first, "results": rows}
