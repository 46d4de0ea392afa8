"""Kill trainings with SIGKILL at random moments, resume them, and compare with undisturbed ones.

A third of the runs is killed at any time, a third while a file is being written, and a third while
the data set, which those have to fetch first, is being put in place. Each is killed up to three
times, then resumed until it finishes. Its checkpoint must then be that of the undisturbed run to
the byte, and its metrics the same but for times. Ends with 1 if any is not.
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tqdm import tqdm

from common.arguments import ArgumentParser
from common.errors import ALL_PASSED, SOME_FAILED, UserError, require_positive, run_script

REPOSITORY = Path(__file__).resolve().parent.parent
RECIPES = {
    "base": ["train_base.py"],
    "improved": ["train_improved.py"],
    "augmented": ["train_improved.py", "--augment"],
}
MOMENTS = ("any time", "a write", "the data")
_MOST_KILLS = 3
_POLL = 0.0005  # seconds; a write takes some milliseconds


class Setting:
    """What all runs have in common: the flags, the data, and the undisturbed runs."""

    def __init__(self, place: Path, data_dir: Path, flags: list[str], recipes: list[str]) -> None:
        self.place, self.data_dir, self.flags, self.recipes = place, data_dir, flags, recipes
        self.seconds = {}
        for recipe in recipes:
            started = time.monotonic()
            self.finish(recipe, place / recipe, data_dir)
            self.seconds[recipe] = time.monotonic() - started

    def start(self, recipe: str, folder: Path, data_dir: Path) -> subprocess.Popen[bytes]:
        """Start a training that goes on where one into this folder was cut short."""
        script, *own_flags = RECIPES[recipe]
        places = ["--output-dir", str(folder), "--data-dir", str(data_dir)]
        flags = [*own_flags, "--resume", *places, *self.flags]
        return subprocess.Popen(
            [sys.executable, str(REPOSITORY / script), *flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # what it starts itself, pip for one, is killed with it
        )

    def finish(self, recipe: str, folder: Path, data_dir: Path) -> None:
        """Train to the end."""
        process = self.start(recipe, folder, data_dir)
        _, errors = process.communicate()
        if process.returncode != 0:
            raise UserError(
                f"{' '.join(RECIPES[recipe])} failed: {errors.decode(errors='replace')[-500:]}"
            )


def interrupted_run(setting: Setting, number: int, seed: int) -> tuple[bool, Counter[str]]:
    """Kill and resume a run; return whether it equals the undisturbed one, and what kills hit."""
    chance = random.Random(f"{seed} {number}")
    recipe = setting.recipes[number % len(setting.recipes)]
    moment = MOMENTS[(number + number // 3) % 3]
    folder = setting.place / str(number)
    data_dir = folder / "data" if moment == "the data" else setting.data_dir
    hits: Counter[str] = Counter()
    for kill in range(chance.randint(1, _MOST_KILLS)):
        process = setting.start(recipe, folder / "run", data_dir)
        watched = data_dir / "MNIST/raw" if moment == "the data" and kill == 0 else folder / "run"
        if moment == "any time" or (moment == "the data" and kill > 0):
            wait(process, chance.uniform(0, setting.seconds[recipe]))
        else:
            wait_for_write(process, watched, chance.randint(1, 4))
        was_running = process.poll() is None
        with_children_killed(process)
        if was_running:
            hits["kills"] += 1
            hits["in a write"] += any(watched.glob(".writing-*")) if watched.exists() else 0
            hits["with a saved state"] += (folder / "run/training_state.pth").exists()
    setting.finish(recipe, folder / "run", data_dir)
    return outcome(folder / "run") == outcome(setting.place / recipe), hits


def wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait, or until the process ends."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL)


def wait_for_write(process: subprocess.Popen[bytes], folder: Path, nth: int) -> None:
    """Wait until the process writes its nth file in ``folder``, or ends."""
    seen: set[str] = set()
    while process.poll() is None:
        if folder.exists():
            seen |= {name for name in os.listdir(folder) if name.startswith(".writing-")}
        if len(seen) >= nth:
            return
        time.sleep(_POLL)


def with_children_killed(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to the process and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def outcome(folder: Path) -> dict[str, Any]:
    """Return all that a run left but times and its own name."""
    metrics = json.loads((folder / "metrics.json").read_bytes())
    for key in ("environment", "name", "seconds"):
        del metrics[key]
    for row in metrics["history"]:
        del row["seconds"]
    files = sorted(p.name for p in folder.iterdir() if p.name != ".lock")
    return {**metrics, "checkpoint": (folder / "checkpoint.pth").read_bytes(), "files": files}


def main() -> int:
    """Kill, resume, compare, print."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--runs", type=int, default=50, help="runs to kill and resume")
    flag("--jobs", type=int, default=2, help="of them at a time")
    flag("--epochs", type=int, default=4, help="epochs of each")
    flag("--val-size", type=int, default=40_000, help="images that none trains on")
    flag("--seed", type=int, default=0, help="of the moments")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(runs=args.runs, jobs=args.jobs)
    flags = ["--epochs", str(args.epochs), "--val-size", str(args.val_size)]
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(args.jobs) as pool:
        recipes = list(RECIPES)[: args.runs]
        setting = Setting(Path(place), args.data_dir.resolve(), flags, recipes)
        runs = pool.map(lambda n: interrupted_run(setting, n, args.seed), range(args.runs))
        for is_equal, hits in tqdm(runs, total=args.runs, unit="run", disable=None, leave=False):
            total += hits
            total["equal"] += is_equal
    print(f"{args.runs} runs, {total['kills']} kills by SIGKILL: {total['in a write']} of them")
    print(f"within a write, {total['with a saved state']} after a state was saved")
    print(f"{total['equal']} of {args.runs} ended equal to the undisturbed run to the bit")
    return ALL_PASSED if total["equal"] == args.runs else SOME_FAILED


if __name__ == "__main__":
    run_script(main)
