"""Kill trainings with SIGKILL at random moments, resume them, and compare with undisturbed ones.

A third of the runs is killed at any time, a third while a file is being written, and a third while
the data set is being written, which these runs have to fetch first. Each is killed up to three
times, then resumed until it finishes. Its checkpoint must then equal that of the undisturbed run
byte for byte, and its metrics must equal too, except for times. Ends with exit status 1 if a run
differs.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.runs import REPOSITORY
from common.data.catalog import MNIST_SPEC
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED, UserError, require_positive
from common.support.files import TEMPORARY

RECIPES = {
    "base": ["train_base.py"],
    "improved": ["train_improved.py"],
    "augmented": ["train_improved.py", "--augment"],
}
MOMENTS = ("any time", "a write", "the data")
_MOST_KILLS = 3
_POLL = 0.0005  # seconds; a write takes some milliseconds


class Experiment:
    """What all runs share: the flags, the data, and the undisturbed run of each recipe."""

    def __init__(self, folder: Path, data_dir: Path, flags: list[str], recipes: list[str]) -> None:
        self.folder, self.data_dir, self.flags, self.recipes = folder, data_dir, flags, recipes
        self.seconds = {}
        for recipe in recipes:
            started = time.monotonic()
            self.finish(recipe, folder / recipe, data_dir)
            self.seconds[recipe] = time.monotonic() - started

    def start(self, recipe: str, folder: Path, data_dir: Path) -> subprocess.Popen[bytes]:
        """Start a training; it resumes the run in the folder, if there is one."""
        script, *own_flags = RECIPES[recipe]
        places = ["--output-dir", str(folder), "--data-dir", str(data_dir)]
        flags = [*own_flags, "--resume", *places, *self.flags]
        return subprocess.Popen(
            [sys.executable, str(REPOSITORY / script), *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that its own child processes, such as pip, are killed too
        )

    def finish(self, recipe: str, folder: Path, data_dir: Path) -> None:
        """Train to the end."""
        process = self.start(recipe, folder, data_dir)
        _, errors = process.communicate()
        if process.returncode != 0:
            raise UserError(
                f"{' '.join(RECIPES[recipe])} failed: {errors.decode(errors='replace')[-500:]}"
            )


def interrupted_run(experiment: Experiment, number: int, seed: int) -> tuple[bool, Counter[str]]:
    """Kill and resume a run; return whether it equals the undisturbed one, and counts of kills."""
    chance = random.Random(f"{seed} {number}")
    recipe = experiment.recipes[number % len(experiment.recipes)]
    moment = MOMENTS[(number + number // 3) % 3]
    folder = experiment.folder / str(number)
    data_dir = folder / "data" if moment == "the data" else experiment.data_dir
    counts: Counter[str] = Counter()
    for kill in range(chance.randint(1, _MOST_KILLS)):
        process = experiment.start(recipe, folder / "run", data_dir)
        is_fetching = moment == "the data" and kill == 0
        watched = data_dir / MNIST_SPEC.folder if is_fetching else folder / "run"
        if is_fetching or moment == "a write":
            wait_for_write(process, watched, chance.randint(1, 4))
        else:
            wait(process, chance.uniform(0, experiment.seconds[recipe]))
        was_running = process.poll() is None
        kill_with_children(process)
        if was_running:
            counts["kills"] += 1
            counts["in a write"] += any(watched.glob(f"{TEMPORARY}*"))
            counts["with a saved state"] += (folder / "run/training_state.pth").exists()
    experiment.finish(recipe, folder / "run", data_dir)
    return outcome(folder / "run") == outcome(experiment.folder / recipe), counts


def wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for some seconds, or until the process ends."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL)


def wait_for_write(process: subprocess.Popen[bytes], folder: Path, nth: int) -> None:
    """Wait until the process writes its nth file in ``folder``, or ends."""
    seen: set[str] = set()
    while process.poll() is None:
        if folder.exists():
            seen |= {name for name in os.listdir(folder) if name.startswith(TEMPORARY)}
        if len(seen) >= nth:
            return
        time.sleep(_POLL)


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to the process and to all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def outcome(folder: Path) -> dict[str, Any]:
    """Return all results of a run but its times and its name."""
    metrics = json.loads((folder / "metrics.json").read_bytes())
    for key in ("environment", "name", "seconds"):
        del metrics[key]
    for row in metrics["history"]:
        del row["seconds"]
    # Hidden files are the lock, and the temporary file that a killed process left behind: that one
    # is removed only when it is a minute old.
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return {**metrics, "checkpoint": (folder / "checkpoint.pth").read_bytes(), "files": files}


def main() -> int:
    """Kill, resume, compare, print."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--runs", type=int, default=50, help="runs to kill and resume")
    flag("--jobs", type=int, default=2, help="runs at the same time")
    flag("--epochs", type=int, default=4, help="epochs of each run")
    flag("--val-size", type=int, default=40_000, help="images to validate on")
    flag("--seed", type=int, default=0, help="of the random moments")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(runs=args.runs, jobs=args.jobs)
    flags = ["--epochs", str(args.epochs), "--val-size", str(args.val_size)]
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.jobs) as pool:
        recipes = list(RECIPES)[: args.runs]
        experiment = Experiment(Path(folder), args.data_dir.resolve(), flags, recipes)
        runs = pool.map(lambda n: interrupted_run(experiment, n, args.seed), range(args.runs))
        for is_equal, counts in tqdm(runs, total=args.runs, unit="run", disable=None, leave=False):
            total += counts
            total["equal"] += is_equal
    print(f"{args.runs} runs, {total['kills']} kills by SIGKILL: {total['in a write']} of them")
    print(f"within a write, {total['with a saved state']} after a state was saved")
    print(f"{total['equal']} of {args.runs} ended equal to the undisturbed run to the bit")
    return ALL_PASSED if total["equal"] == args.runs else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
