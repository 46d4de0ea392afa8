"""What a GitHub runner shows of an evaluation: a summary of the job, and annotations.

Limits and escapes as in GitHub's documentation of workflow commands: 1 MiB a summary, ten
annotations of a kind a step, and no line of a stranger's that could be taken for a command.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.support.text import terminal_safe
from evaluations.words import accuracy_words, interval_words
from reporting.terminal import remarks, verdict

_MAX_SUMMARY = 2**20 - 1000  # bytes, with room for what another step's summary may add at the end
_MAX_ANNOTATIONS = 10


def summarise(document: dict[str, Any]) -> None:
    """Append a Markdown table to the job's summary and print annotations, on a GitHub runner."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(markdown(document))
    for kind, status in (("error", "error"), ("warning", "fail")):
        rows = [row for row in document["results"] if row["status"] == status]
        for row in rows[:_MAX_ANNOTATIONS]:
            text = row["reason"]
            if status == "fail":
                text = f"{accuracy_words(row, document['threshold'])}, below the threshold"
            message = terminal_safe(f"{row['name']}: {text}").replace("%", "%25")
            print(f"::{kind} title=Grading::{message}")


def markdown(document: dict[str, Any]) -> str:
    """Return the evaluation as GitHub-flavoured Markdown, cut after a row if it grows too long."""
    lines = [
        f"## {_cell(document['dataset']['title'])} grading",
        "",
        f"{verdict(document).splitlines()[0]}. Test images: {document['dataset']['size']:,}.",
        "",
        "| name | verdict | accuracy | 95 % interval | remarks |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    size = sum(len(line.encode()) + 1 for line in lines)
    rows = document["results"]
    for number, row in enumerate(rows):
        line = _table_row(row, document["threshold"])
        size += len(line.encode()) + 1
        if size > _MAX_SUMMARY:
            lines += ["", f"{len(rows) - number:,} more rows are in evaluation.json."]
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _table_row(row: dict[str, Any], threshold: float) -> str:
    name = _cell(row["name"])
    if row["status"] == "error":
        return f"| {name} | error | | | {_cell(row['reason'])} |"
    notes = _cell("; ".join(remarks(row)))
    figures = f"{accuracy_words(row, threshold)} | {interval_words(row)}"
    return f"| {name} | {row['status']} | {figures} | {notes} |"


def _cell(text: str) -> str:
    """Return ``text`` for a cell of a table, as plain text without markup or links."""
    safe = terminal_safe(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+-.!|~@:" else c for c in safe)


@contextlib.contextmanager
def commands_stopped() -> Iterator[None]:
    """Print what stands inside without a runner taking a line of it for a workflow command."""
    if not os.environ.get("GITHUB_STEP_SUMMARY"):
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}")
    try:
        yield
    finally:
        print(f"::{token}::")
