"""What Gradescope's autograder needs: size, seconds, memory, within the platform's default limits.

Builds the zip file, runs setup.sh in a folder of its own, and grades untrained networks under the
memory and the share of a processor that Gradescope gives by default (768 MB, half a processor:
docs/troubleshooting.md in https://github.com/gradescope/autograder_samples), with hard limits of
the kernel's control groups. Needs root and their version 1. Elsewhere: docker run --memory 768m
--cpus 0.5.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from common.models import ImprovedMNISTClassifier, MNISTClassifier
from common.support.cli import ArgumentParser, run_script
from common.support.errors import UserError

MEMORY, CPUS = 768, 0.5  # Gradescope's defaults: MB, and processors
LESS_MEMORY = (600, 500, 450, 400, 350)  # MB
PERIOD = 100_000  # microseconds
ENOUGH = 60  # seconds, after which a grading counts as starved of memory

NETWORKS = {
    "base": MNISTClassifier,
    "improved": ImprovedMNISTClassifier,
    "2 x 2048": lambda: MNISTClassifier(hidden_sizes=(2048, 2048)),
    "2 x 3072": lambda: MNISTClassifier(hidden_sizes=(3072, 3072)),
    "2 x 4096": lambda: MNISTClassifier(hidden_sizes=(4096, 4096)),
}


def main() -> int:
    """Build, install, grade, print."""
    ArgumentParser(description=__doc__.split("\n\n")[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        install(root)
        for name, make in NETWORKS.items():
            network = make()
            (root / "submission").mkdir(exist_ok=True)
            # Weights alone: then all preprocessings are tried, which takes longest.
            torch.save(network.state_dict(), root / "submission/model.pth")
            parameters = sum(p.numel() for p in network.parameters())
            seconds, outcome = grade(root, MEMORY)
            print(f"{name:9} {parameters:11,} parameters  {seconds:5.1f} s  {outcome}", flush=True)
        torch.save(MNISTClassifier().state_dict(), root / "submission/model.pth")
        for memory in LESS_MEMORY:
            seconds, outcome = grade(root, memory)
            print(f"base with {memory} MB of memory  {seconds:5.1f} s  {outcome}", flush=True)
    return 0


def install(root: Path) -> None:
    """Build the zip file and run its setup.sh."""
    archive = root / "autograder.zip"
    build = [sys.executable, "-m", "platforms.gradescope.build", "--output", archive]
    subprocess.run(build, check=True)
    with zipfile.ZipFile(archive) as file:
        file.extractall(root / "source")
    for name in ("setup.sh", "run_autograder"):
        (root / "source" / name).chmod(0o755)
    started = time.monotonic()
    environment = {**os.environ, "AUTOGRADER_ROOT": str(root)}
    setup = subprocess.run(
        [root / "source/setup.sh"], env=environment, capture_output=True, text=True
    )
    if setup.returncode:
        raise UserError(f"setup.sh: {setup.stderr.strip().splitlines()[-1]}")
    size = sum(path.lstat().st_size for path in (root / "source").rglob("*")) / 1e6
    print(f"setup.sh: {time.monotonic() - started:.0f} s, {size:,.0f} MB in /autograder/source")


def grade(root: Path, memory: int) -> tuple[float, str]:
    """Run the autograder under the limits; return the seconds and how it ended."""
    started = time.monotonic()
    with control_groups(memory) as groups:
        command = f'for group in {" ".join(groups)}; do echo $$ > "$group/cgroup.procs"; done\n'
        command += f"exec {root}/source/run_autograder"
        process = subprocess.Popen(
            ["sh", "-c", command],
            env={**os.environ, "AUTOGRADER_ROOT": str(root)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(ENOUGH)
        except subprocess.TimeoutExpired:
            kill_all(groups[0])
            process.wait()
            return time.monotonic() - started, "starved"
        kill_all(groups[0])
    seconds = time.monotonic() - started
    results = json.loads((root / "results/results.json").read_text())
    shutil.rmtree(root / "results")
    if not results.get("tests"):
        return seconds, "no results"
    test = results["tests"][0]
    return seconds, "graded" if test["status"] == "passed" else test["output"]


@contextlib.contextmanager
def control_groups(memory: int) -> Iterator[list[str]]:
    """Make a group with a limit of memory (MB) and one with a share of a processor."""
    own = dict(
        line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines()
    )
    name = f"autograder-{os.getpid()}"
    groups = [
        Path(f"/sys/fs/cgroup/{kind}{own.get(kind, '/')}", name) for kind in ("memory", "cpu")
    ]
    try:
        for group in groups:
            group.mkdir()
    except OSError as error:
        raise UserError("needs root and control groups of version 1, or docker") from error
    (groups[0] / "memory.limit_in_bytes").write_text(str(memory * 2**20))
    (groups[1] / "cpu.cfs_period_us").write_text(str(PERIOD))
    (groups[1] / "cpu.cfs_quota_us").write_text(str(int(CPUS * PERIOD)))
    try:
        yield [str(group) for group in groups]
    finally:
        for group in groups:
            group.rmdir()


def kill_all(group: str) -> None:
    """Kill what is left in a group, and wait until it is empty."""
    processes = Path(group, "cgroup.procs")
    while left := processes.read_text().split():
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), 9)
        time.sleep(0.1)


if __name__ == "__main__":
    run_script(main)
