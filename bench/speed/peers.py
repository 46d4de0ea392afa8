"""Time one training epoch on all 60,000 images beside other libraries: the same two recipes.

Each peer is a process of its own, so that no library's threads are in another's way; of all of
them only one computes at a time. They take turns in each round, and the fastest round of each
counts. All of them have the same network, batches of 64, dropout, optimizer and images; what a
peer does not do stands beside its row. The first epoch of each is not counted: what it took
longer than the others is what compiling took.

- floor: the matrix products alone, see ``bench.speed.epoch``;
- project: this project's loop; tutorial: the loop of tutorials;
- jax: the recipe in plain JAX, an epoch as one compiled scan;
- lightning, keras-jax, keras-torch, scikit-learn: their own loops, called by ``fit``.

Peers that are not installed are left out. ``--install`` puts them into .venv/peers, a folder that
nothing else reads.
"""

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.runs import REPOSITORY
from bench.speed.epoch import CPU, RECIPES
from common.support.cli import ArgumentParser, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, UserError, require_positive
from common.support.files import write_json

FOLDER = REPOSITORY / ".venv/peers"

# Without their dependencies, most of which (torch, numpy) are there already in one version.
PACKAGES = (
    *("jax", "jaxlib", "ml_dtypes", "opt_einsum"),
    *("keras", "absl-py", "rich", "namex", "optree", "h5py", "markdown-it-py", "mdurl"),
    *("lightning", "pytorch-lightning", "lightning-utilities", "torchmetrics", "pyyaml"),
)
# What each peer needs of them.
NEEDS = {
    "floor": [],
    "project": [],
    "jax": ["jax"],
    "keras-jax": ["keras", "jax"],
    "scikit-learn": [],
    "tutorial": [],
    "lightning": ["lightning"],
    "keras-torch": ["keras"],
}
# What each peer does not do, or does in another way.
REMARKS = {
    "floor": "matrix products alone",
    "jax": "no progress; leaves out a last, smaller batch",
    "keras-jax": "AdamW in both recipes",
    "keras-torch": "AdamW in both recipes",
    "scikit-learn": "no dropout, no batch normalisation",
    "lightning": "no accuracy",
}


class Peer:
    """A process that trains an epoch each time it is asked to."""

    def __init__(self, name: str, recipe: str, data_dir: Path) -> None:
        self.name = name
        environment = {
            **os.environ,
            "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{FOLDER}",
            "KERAS_BACKEND": name.removeprefix("keras-"),
        }
        command = [sys.executable, "-m", "bench.speed.peer_loops", name, recipe, str(data_dir)]
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def answer(self) -> str:
        """Return its next line. Raises UserError if the process has ended."""
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise UserError(f"the process of {self.name} has ended with {self.process.wait()}")
        return line

    def epoch(self) -> float:
        """Return the seconds of one more epoch. Raises UserError if the process has ended."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return float(self.answer())

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        with self.process:  # closes its streams, and waits for its end
            pass


@contextlib.contextmanager
def started(names: list[str], recipe: str, data_dir: Path) -> Iterator[list[Peer]]:
    """Start the processes of these peers, wait until all are ready, and end them all."""
    with contextlib.ExitStack() as stack:
        peers = [Peer(name, recipe, data_dir) for name in names]
        for peer in peers:
            stack.callback(peer.end)
        for peer in peers:
            peer.answer()
        yield peers


def measure(
    names: list[str], recipe: str, data_dir: Path, rounds: int
) -> dict[str, dict[str, Any]]:
    """Return the seconds of the first epoch and of the later ones, by peer."""
    seconds: dict[str, dict[str, Any]] = {}
    with started(names, recipe, data_dir) as peers:
        for peer in tqdm(peers, desc=f"{recipe}: starting", disable=None, leave=False):
            seconds[peer.name] = {"first": peer.epoch(), "later": []}
        for _ in tqdm(range(rounds), desc=recipe, disable=None, leave=False):
            for peer in peers:
                seconds[peer.name]["later"].append(peer.epoch())
    return seconds


def table(seconds: dict[str, dict[str, Any]]) -> str:
    """Return a line for each peer, the fastest first."""
    lines = [f"{'peer':13} fastest, s  median, s  compiling, s  to this project"]
    fastest = {name: min(times["later"]) for name, times in seconds.items()}
    for name in sorted(fastest, key=fastest.__getitem__):
        median = statistics.median(seconds[name]["later"])
        compiling = max(0.0, seconds[name]["first"] - median)
        ratio = fastest[name] / fastest["project"]
        lines.append(
            f"{name:13} {fastest[name]:10.2f} {median:10.2f} {compiling:13.1f} {ratio:16.2f}  "
            f"{REMARKS.get(name, '')}".rstrip()
        )
    return "\n".join(lines)


def installed() -> dict[str, str]:
    """Return the versions of the packages in the folder of the peers."""
    found = distributions(path=[str(FOLDER)])
    return {found.name: found.version for found in sorted(found, key=lambda one: one.name)}


def install() -> None:
    """Install the peers into a folder of their own. Raises UserError if pip fails."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
    if subprocess.run([*command, "--target", str(FOLDER), *PACKAGES]).returncode != 0:
        raise UserError("pip could not install the peers; what it says stands above")


def main() -> int:
    """Measure, print, and write what was measured."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--install", action="store_true", help="first install the peers into .venv/peers")
    flag("--rounds", type=int, default=5, help="epochs of each peer")
    flag("--recipe", choices=RECIPES, action="append", help="only this one (default: both)")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    flag("--output", metavar="FILE", type=Path, help="also write JSON to this file")
    args = parser.parse_args()
    require_positive(rounds=args.rounds)
    if args.install:
        install()
    versions = installed()
    names = [name for name, needs in NEEDS.items() if all(need in versions for need in needs)]
    if missing := [name for name in NEEDS if name not in names]:
        print(f"Not installed, and left out (--install installs them): {', '.join(missing)}\n")
    environment = describe_environment(CPU)
    shown = {"torch": environment["torch"], "scikit-learn": version("scikit-learn"), **versions}
    print(f"{environment['device_name']}, {os.cpu_count()} cores")
    named = ("torch", "jax", "keras", "lightning", "scikit-learn")
    print(", ".join(f"{name} {shown[name]}" for name in named if name in shown))
    seconds = {}
    for recipe in args.recipe or RECIPES:
        chosen = [name for name in names if (name, recipe) != ("scikit-learn", "improved")]
        seconds[recipe] = measure(chosen, recipe, args.data_dir, args.rounds)
        print(f"\n{recipe}: {args.rounds} rounds of 60,000 images, batches of 64")
        print(table(seconds[recipe]))
    if args.output:
        write_json(
            args.output, {"environment": environment, "versions": versions, "seconds": seconds}
        )
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
