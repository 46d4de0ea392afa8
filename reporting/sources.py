"""What report.py reads: documents, checked before anything is rendered from them."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from common.support.errors import UserError
from common.support.files import read_json
from common.support.text import json_text
from evaluations.validation import check_evaluation, check_metrics

Row = dict[str, Any]


class Sources(NamedTuple):
    """An evaluation, the runs in it, and the files that both came from."""

    evaluation: Row
    runs: dict[str, Row]
    paths: dict[str, Path]

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 sum of each file, by its name."""
        return {name: checksum_of(path) for name, path in self.paths.items()}


def checksum_of(path: Path) -> str:
    """Return the SHA-256 sum of a file."""
    return sha256(path.read_bytes()).hexdigest()


def document_path(path: Path) -> Path:
    """Return where an evaluation is: a folder may be named in its place."""
    return path / "evaluation.json" if path.is_dir() else path


def read_all(given: list[Path]) -> dict[str, Sources]:
    """Read evaluations with their runs, by what each is called on a page.

    That is its folder, or its path if that says more. Raises UserError if an evaluation is named
    twice, or if one of the files is missing or is not what the scripts write.
    """
    paths = [document_path(path) for path in given]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError("an evaluation is named twice: name each of them once")
    in_folder = [path.name == "evaluation.json" and path.parent.name for path in paths]
    labels = [path.parent if named else path for path, named in zip(paths, in_folder, strict=True)]
    return {json_text(label): read_sources(path) for label, path in zip(labels, paths, strict=True)}


def read_sources(path: Path) -> Sources:
    """Read an evaluation, and ``metrics.json`` of each measured run of one's own.

    A run lies beside the evaluation, which may have been moved with it, or else where it was.
    Raises UserError if one of the files is missing or is not what the scripts write.
    """
    evaluation = read_json(path)
    check_evaluation(evaluation, path)
    runs, paths = {}, {"the evaluation": path}
    for row in evaluation["results"]:
        name = row["name"]
        if not row["own"] or row["status"] == "error" or Path(name).name != name:
            continue
        if found := _metrics_of(row, path.parent):
            runs[name], paths[f"run {name}"] = read_json(found), found
            check_metrics(runs[name], found)
            if not _is_measured(found, row):
                raise UserError(f"{found} has changed since it was measured: run evaluate.py again")
    return Sources(evaluation, runs, paths)


def _metrics_of(row: Row, folder: Path) -> Path | None:
    """Return where ``metrics.json`` of a row's run is, for an evaluation in ``folder``."""
    beside, named = (
        place / "metrics.json" for place in (folder / row["name"], Path(row["source"]))
    )
    if beside.exists():
        return beside
    # Of an evaluation that was moved, another run may stand at the named place.
    return named if named.exists() and _is_measured(named, row) else None


def _is_measured(path: Path, row: Row) -> bool:
    return row.get("metrics_sha256") in (None, checksum_of(path))


def require_other(output: Path, sources: Iterable[Path]) -> None:
    """Raise UserError if the page would be written over what it is made from."""
    if output.resolve() in {path.resolve() for path in sources}:
        raise UserError(f"--output {output} is what the page is made from: name another file")
