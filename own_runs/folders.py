"""Which folders hold training runs of one's own. No torch.

Whose a run is decides how it is read: one's own in this process, anyone else's in the sandbox.
"""

from pathlib import Path
from typing import NamedTuple

from common.support.errors import UserError
from common.support.files import read_json

# What the training scripts call their folders.
_RECIPES = ("base", "improved", "augmented")

# What they write beside the checkpoint.
_NOT_GRADED = ("metrics.json", "training_state.pth")


class Found(NamedTuple):
    """The training runs to measure, and the names of those of other data sets."""

    runs: list[Path]
    left_out: list[str]


def find_own_runs(folder: Path, key: str) -> Found:
    """Return the training runs in ``folder``.

    Those of the recipes come first, the others by name. ``key`` is the data set's: runs that say
    they were trained on another one are left out. Raises UserError if there is no run.
    """
    found = [path.parent for path in folder.glob("*/metrics.json")]
    found.sort(key=lambda run: (_RECIPES.index(run.name) if run.name in _RECIPES else 9, run.name))
    others = [run for run in found if _data_set_of(run / "metrics.json") not in (key, None)]
    runs = [run for run in found if run not in others]
    if others and not runs:
        raise UserError(
            f"{others[0]} was trained on another data set than {key}: give the --dataset and "
            "--data-dir that it was trained with"
        )
    if not runs:
        raise UserError(
            f"no training run in {folder}: run train_base.py or train_improved.py first, or name "
            "the files to grade"
        )
    return Found(runs, [run.name for run in others])


def _data_set_of(path: Path) -> str | None:
    """Return the key of the data set in a ``metrics.json``; None if it cannot be read."""
    try:
        return str(read_json(path)["data"]["key"])
    except (UserError, KeyError, TypeError):
        return None


def are_own_runs(paths: list[Path], runs: Path) -> bool:
    """Tell whether all ``paths`` are one's own runs, as is the case without any.

    Raises UserError where such a run was meant, and a file of it or all of ``runs`` was named.
    """
    for path in paths:
        if path.name in _NOT_GRADED and is_own_run(path.parent, runs):
            raise UserError(
                f"{path} is a file of a training run: name the run's folder, {path.parent}"
            )
        if path.resolve() == runs.resolve() and any(
            is_own_run(run, runs) for run in path.iterdir()
        ):
            raise UserError(
                f"{path} holds your own training runs: leave out PATH to measure all of them, or "
                f"name some, such as {min(found.parent for found in path.glob('*/metrics.json'))}"
            )
    return all(is_own_run(path, runs) for path in paths)


def is_own_run(folder: Path, runs: Path) -> bool:
    """Tell whether a training run lies in ``runs``, or where its own command put it.

    A folder that holds anything but such runs is one of submissions: whose runs they are, nothing
    says.
    """
    inside = ("metrics.json", "checkpoint.pth")
    if not all((folder / name).is_file() for name in inside):
        return False
    # A link in runs/ counts as what lies there.
    if folder.absolute().parent.resolve() == runs.resolve():
        return True
    beside = [path for path in folder.resolve().parent.iterdir() if path.name[0] != "."]
    return all(map(_is_where_it_was_trained, beside))


def _is_where_it_was_trained(folder: Path) -> bool:
    """Tell whether the command in ``metrics.json`` names the folder it is in."""
    try:
        words = read_json(folder / "metrics.json")["environment"]["command"]
        named = [Path(word.removeprefix("--output-dir=")).resolve() for word in words]
        return folder.resolve() in named
    except (UserError, KeyError, TypeError, ValueError, AttributeError, OSError):
        return False
