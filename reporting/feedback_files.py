"""The students' pages as files, and as the archives that course platforms take them back in.

The rules of both archives, and where they were read, are in docs/gradebooks.md.
"""

import io
import multiprocessing
import re
import signal
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm.auto import tqdm

from common.support.errors import UserError
from common.support.files import atomic_write
from common.support.text import folder_names
from reporting.feedback import render_feedback

_NAME = "feedback.html"

# How each platform names what it gives to download: whose it is, and then the file's own name.
_UPLOADS = {
    # <full name>_<participant>_assignsubmission_file, with or without a name behind it.
    "moodle": re.compile(r"([^_]+_\d+_assignsubmission_file)(?:_.*)?", re.DOTALL | re.ASCII),
    # <name>[_LATE]_<user>_<file> or [LATE_]anon_<letters>_<file>.
    "canvas": re.compile(
        r"((?:[^_]+(?:_LATE)?_\d+|(?:LATE_)?anon_[^_]+)_\d+)_.+", re.DOTALL | re.ASCII
    ),
}
PLATFORMS = tuple(_UPLOADS)

Row = dict[str, Any]


class Pages(NamedTuple):
    """What was written, and the text of each page, in the order of the rows."""

    folder: Path
    texts: list[str]
    num_written: int  # the others were there already, and are the same

    def summary(self) -> str:
        """Return it as a line."""
        same = len(self.texts) - self.num_written
        also = f", {same} were up to date" if same else ""
        pages = "page" if self.num_written == 1 else "pages"
        return f"Feedback: {self.num_written} {pages} written in {self.folder}{also}"


class Packed(NamedTuple):
    """An archive, and the rows that are not in it."""

    path: Path
    num_pages: int
    left_out: list[str]  # names of rows


def write_pages(evaluation: Row, folder: Path) -> Pages:
    """Write ``<name>/feedback.html`` for each row of a grading, except those that are there."""
    rows = evaluation["results"]
    header = {key: value for key, value in evaluation.items() if key != "results"}
    accuracies = tuple(sorted(row["accuracy"] for row in rows if row["status"] != "error"))
    render = partial(render_feedback, header, accuracies)
    texts, num_written = [], 0
    with (
        multiprocessing.Pool(initializer=_leave_signals_to_parent) as pool,
        tqdm(total=len(rows), unit="page", disable=None, leave=False) as bar,
    ):
        names = folder_names([row["name"] for row in rows])
        for name, text in zip(names, pool.imap(render, rows, chunksize=4), strict=True):
            num_written += _write_if_changed(folder / name / _NAME, text.encode())
            texts.append(text)
            bar.update()
    return Pages(folder, texts, num_written)


def pack(platform: str, rows: list[Row], pages: Pages) -> Packed:
    """Write the archive that a platform takes the pages back in, beside their folder.

    Raises UserError if no page belongs into it; an earlier archive stays.
    """
    members = [member_name(platform, row.get("upload") or row["name"]) for row in rows]
    times = Counter(members)
    packed: dict[str, str] = {}
    left_out = []
    for row, member, text in zip(rows, members, pages.texts, strict=True):
        if member is not None and times[member] == 1:
            packed[member] = text
        else:  # never guess which of two is the student's
            left_out.append(row["name"])
    if not packed:
        raise UserError(
            f"no submission has a name of {platform.capitalize()}'s, so there is nothing to pack: "
            "grade the platform's own download, under the names that it gave"
        )
    path = pages.folder.with_name(f"{pages.folder.name}-{platform}.zip")
    _write_if_changed(path, _zip(packed))
    return Packed(path, len(packed), left_out)


def member_name(platform: str, upload: str) -> str | None:
    """Return the name of a page in a platform's archive; None if that did not name the upload."""
    found = _UPLOADS[platform].fullmatch(upload)
    return f"{found[1]}_{_NAME}" if found else None


def _zip(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(members.items()):
            # Of no time of its own, so that the same pages are the same bytes.
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _write_if_changed(path: Path, content: bytes) -> bool:
    if path.is_file() and path.read_bytes() == content:
        return False
    atomic_write(path, content)
    return True


def _leave_signals_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
