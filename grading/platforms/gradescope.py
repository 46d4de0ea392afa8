"""Gradescope: folders submission_<number>, and submission_metadata.yml with whose they are."""

import ast
import contextlib
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from grading.platforms.upload import OWN, Parts, Platform, TextOf, Upload, Uploads

METADATA = "submission_metadata.yml"  # Gradescope's
_MAX_METADATA = 4 * 2**20  # bytes
# "  :created_at: 2026-04-26 17:34:00.861687000 Z", or "    utc: ..." in the lines below.
_TIME = re.compile(
    r"  (?::created_at:|  utc:) ['\"]?(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?"
    r"(?: ?(Z|[+-]\d\d:?\d\d))?['\"]?\s*(?:#.*)?$",
    re.ASCII,
)
# "  - :name: Ada", and the lines below it: what is further in belongs to a name of several lines.
_SUBMITTER = re.compile(r"(?:  - |    ):(?:name|sid|email): (.+?)\s*$")


class Handed(NamedTuple):
    """What a platform says of a submission."""

    students: tuple[str, ...] = ()  # names, numbers and addresses, by Gradescope's metadata
    submitted_at: str = ""  # ISO 8601, likewise
    is_late: bool | None = None  # by Canvas's own due date


def read_gradescope_metadata(path: Path) -> dict[str, Handed]:
    """Return the students and the time of each folder of a Gradescope export.

    Reads the few lines that matter of submission_metadata.yml (Ruby's YAML: keys begin with a
    colon), so that no YAML parser is needed. Without the file there are none.
    """
    if not path.is_file() or path.stat().st_size > _MAX_METADATA:
        return {}
    folders: dict[str, Handed] = {}
    folder, key = "", ""
    # Not splitlines: it would also end a line where a name has an odd character.
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        if found := re.match(r"['\"]?(submission_\d+)['\"]?:\s*$", line):
            folder, key = found[1], ""
        elif found := re.match(r"  :(\w+):", line):
            key = found[1]
        known = folders.get(folder, Handed())
        # Rails writes a time with its zone as an object, whose first key is the time in UTC.
        if key == "created_at" and (found := _TIME.match(line)):
            text, key = f"{found[1]}T{found[2]}{found[3] or 'Z'}", ""
            folders[folder] = known._replace(submitted_at="")
            with contextlib.suppress(ValueError):  # there may be no such time
                time = datetime.fromisoformat(text).isoformat()
                folders[folder] = known._replace(submitted_at=time)
        elif key == "submitters" and (found := _SUBMITTER.match(line)) and _plain(found[1]):
            folders[folder] = known._replace(students=(*known.students, _plain(found[1])))
    return folders


def _plain(scalar: str) -> str:
    """Return the text of a YAML scalar on one line; nothing for null or a longer text."""
    if scalar in ("null", "~") or scalar.startswith(("|", ">")):
        return ""
    if scalar.startswith('"'):
        with contextlib.suppress(ValueError, SyntaxError):  # its escapes are Python's too
            return str(ast.literal_eval(scalar)).strip()
    return scalar.strip("'\"").replace("''", "'").strip()


def _read(paths: Sequence[Parts], text_of: TextOf) -> Uploads:
    if (METADATA,) not in paths:
        return {}
    uploads = {path: Upload(path[0], path[0]) for path in paths}
    return uploads | {(METADATA,): OWN}


GRADESCOPE = Platform("gradescope", "Gradescope", _read)
