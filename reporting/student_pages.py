"""A page for each student: what their submission is worth, and what to do if it is not graded.

Nothing on it tells of another student: the class is a distribution, and only if it is large enough.
The pages are files, and go into the archives that course platforms take them back in. The rules of
both archives, and where they were read, are in docs/gradebooks.md.
"""

import io
import multiprocessing
import re
import signal
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from tqdm.auto import tqdm

from common.support.errors import UserError
from common.support.files import atomic_write, read_json
from common.support.text import quoted
from evaluations.disclosure import disclosed, is_rounded
from evaluations.names import folder_names
from evaluations.validation import check_evaluation
from evaluations.words import KINDS
from reporting.figures import counts
from reporting.figures.svg import MAX_NAMED
from reporting.rendering import Row, render
from reporting.sources import document_path
from reporting.terminal import INCOMPLETE, named

_NAME = "feedback.html"

# In a smaller class the distribution could tell who has which accuracy.
MIN_CLASS = 5

# How each platform names what it gives to download: whose it is, and then the file's own name.
_UPLOADS = {
    # <full name>_<participant>_assignsubmission_file, with or without a name behind it.
    "moodle": re.compile(r"([^_]+_\d+_assignsubmission_file)(?:_.*)?", re.DOTALL | re.ASCII),
    # <name>[_LATE]_<user>_<file> or [LATE_]anon_<letters>_<file>.
    "canvas": re.compile(
        r"((?:[^_]+(?:_LATE)?_\d+|(?:LATE_)?anon_[^_]+)_\d+)_.+", re.DOTALL | re.ASCII
    ),
}
# Others have a folder of each student, whose name ends in the key, and take back one like it.
_FOLDERS = {
    "sakai": (r".*\(KEY\)", "feedback/{folder}/Feedback Attachment(s)/"),
    "openolat": (r".*_KEY", "{key}/"),
    "ilias": (r".+_KEY_\d+", "feedback/{folder}/"),
}
PLATFORMS = {"moodle": "Moodle", "canvas": "Canvas"}
PLATFORMS |= {"sakai": "Sakai", "openolat": "OpenOLAT", "ilias": "ILIAS"}


def write_feedback(platform: str, given: list[Path]) -> None:
    """Write ``<name>/feedback.html`` for each row of a grading, beside its evaluation.

    For a platform also pack them. ``platform`` is what stands behind the flag: nothing, a platform,
    or the evaluation, which is otherwise the one in ``given``.

    Raises UserError if that is not one evaluation of a graded folder, or if nothing can be packed.
    """
    if platform and platform not in PLATFORMS:
        if given or not Path(platform).exists():
            raise UserError(
                f"--feedback is {quoted(platform)}, but must be one of {', '.join(PLATFORMS)}"
            )
        platform, given = "", [Path(platform)]
    (path, *others) = given or [Path("runs/grading/evaluation.json")]
    if others:
        raise UserError("--feedback takes one evaluation: call it once for each")
    path = document_path(path)
    evaluation = read_json(path)
    check_evaluation(evaluation, path)
    if any(row["own"] for row in evaluation["results"]):
        raise UserError(f"{path} is of your own runs: name the evaluation of a graded folder")
    evaluation = disclosed(evaluation)
    if evaluation.get("complete") is False:
        print(INCOMPLETE)
    folder = path.with_name("feedback")
    pages = _write_pages(evaluation, folder)
    if platform:
        _pack(platform, evaluation["results"], pages, folder)


def _write_pages(evaluation: Row, folder: Path) -> list[str]:
    """Write the pages that are not there already; return all, in the order of the rows."""
    rows = evaluation["results"]
    header = {key: value for key, value in evaluation.items() if key != "results"}
    accuracies = tuple(sorted(row["accuracy"] for row in rows if row["status"] != "error"))
    names = folder_names([row["name"] for row in rows])
    bars = _bars(rows, accuracies, evaluation["threshold"])
    pages, num_written = [], 0
    with multiprocessing.Pool(initializer=_leave_signals_to_parent) as pool:
        # Drawing takes longer than all else, and students of one bar have one figure.
        draw = partial(counts.accuracy_distribution, accuracies, evaluation["threshold"])
        figures = dict(zip({*bars}, pool.map(draw, {*bars}), strict=True))
        render_one = partial(render_feedback, header, len(accuracies))
        arguments = zip(rows, map(figures.get, bars or [None] * len(rows)), strict=True)
        rendered = pool.imap(partial(_call, render_one), arguments, chunksize=4)
        bar = tqdm(rendered, total=len(rows), unit="page", disable=None, leave=False)
        for name, page in zip(names, bar, strict=True):
            num_written += _write_if_changed(folder / name / _NAME, page.encode())
            pages.append(page)
    same = len(pages) - num_written
    also = f", {same} were up to date" if same else ""
    written = f"{num_written} page{'s' * (num_written != 1)} written"
    print(f"Feedback: {written}{also}; a student's is {folder / 'NAME' / _NAME}")
    if left := sorted({page.parent.name for page in folder.glob(f"*/{_NAME}")} - {*names}):
        print(named("Of nobody in this grading, left from an earlier one", left))
    return pages


def _bars(rows: list[Row], accuracies: Sequence[float], threshold: float) -> list[int | None]:
    """Return the bar of each row in the distribution; nothing if the class is too small for one."""
    if len(accuracies) < MIN_CLASS:
        return []
    edges = counts.bar_edges(accuracies, threshold)
    return [
        None if row["status"] == "error" else counts.bar_of(edges, row["accuracy"]) for row in rows
    ]


def _call(function: Callable[..., str], arguments: tuple[Any, ...]) -> str:
    return function(*arguments)


def render_feedback(
    evaluation: Row, num_graded: int, row: Row, distribution: Markup | None = None
) -> str:
    """Return the page of one row.

    ``evaluation`` is without its rows; ``distribution`` is the figure of all that could be graded.
    """
    dataset = evaluation["dataset"]
    page = {
        "evaluation": evaluation,
        "row": row,
        "classes": dataset["classes"],
        "noun": dataset["noun"],
        "max_named": MAX_NAMED,
        "kind": KINDS.get(row["kind"]),
        "rounded": row["status"] != "error" and is_rounded(row),
        "distribution": distribution,
        "num_graded": num_graded,
        "sources": {},
    }
    return render("feedback.html", page)


def _pack(platform: str, rows: list[Row], pages: list[str], folder: Path) -> None:
    """Write the archive that a platform takes the pages back in; without any, leave an earlier."""
    members = [
        member_name(platform, row.get("upload") or row["name"], row.get("student")) for row in rows
    ]
    times = Counter(members)
    packed, left_out = {}, []
    for row, member, page in zip(rows, members, pages, strict=True):
        if member is not None and times[member] == 1:
            packed[member] = page
        else:  # never guess which of two is the student's
            left_out.append(row["name"])
    owner = f"{PLATFORMS[platform]}'s"
    if not packed:
        raise UserError(
            f"no submission has a name of {owner}, so there is nothing to pack: grade the "
            "platform's own download, under the names that it gave"
        )
    path = folder.with_name(f"{folder.name}-{platform}.zip")
    _write_if_changed(path, _zip(packed))
    if left_out:
        why = f"Not packed, {len(left_out)} without a name of {owner} of their own"
        print(named(why, left_out))
    print(f"Packed: {len(packed)} of {len(pages)} pages in {path}")


def member_name(platform: str, upload: str, key: str | list[str] | None = None) -> str | None:
    """Return the name of a page in a platform's archive; None if that did not name the upload.

    ``key`` is what the platform's gradebook calls the student.
    """
    if platform in _FOLDERS:
        pattern, place = _FOLDERS[platform]
        # A name of dots would lead out of the archive's folder.
        if not isinstance(key, str) or not key.strip(". "):
            return None
        own = re.compile(pattern.replace("KEY", re.escape(key)), re.DOTALL | re.ASCII)
        folder = next(filter(own.fullmatch, upload.split("/")[:-1]), None)
        return f"{place.format(folder=folder, key=key)}{_NAME}" if folder else None
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
