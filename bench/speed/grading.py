"""Time the isolation of submissions: evaluate.py, against the same files in a single process.

*bare* parses each file and predicts the 10,000 test images with it, in one process with everything
loaded and one thread; there are no rows, no limits and no isolation. *evaluate.py* is the whole
process from start to end, with rows and grades.csv. Prints milliseconds per submission, and the
peak memory of the process that grades.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from bench.runs import REPOSITORY
from common.checkpoints import save_checkpoint
from common.data.arrays import load_split
from common.data.catalog import MNIST_SPEC
from common.loops import Batches, predict_logits
from common.models import ARCHITECTURES
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED, SOME_FAILED, UserError, require_positive
from grading.readers.weights.checkpoint import parse_checkpoint


def main() -> int:
    """Write the submissions, time the ways in turn, print the ratios."""
    args = parse_arguments()
    require_positive(count=args.count)
    with tempfile.TemporaryDirectory() as folder:
        submissions = Path(folder, "submissions")
        submissions.mkdir()
        paths = make_submissions(submissions, args.count, args.architecture)
        print(f"{args.count} submissions ({args.architecture}), milliseconds each")
        for isolation in ("process", "bubblewrap", "none"):
            bare = time_bare(paths, args.data_dir)
            print(f"bare, one thread                 {1000 * bare / args.count:6.0f}", flush=True)
            for jobs in (1, 2):
                seconds, memory = time_evaluate(submissions, isolation, jobs, args.data_dir)
                print(
                    f"evaluate.py, {isolation:10}, {jobs} job{'s' * (jobs > 1):1}   "
                    f"{1000 * seconds / args.count:6.0f}   {seconds / bare:.2f} times bare, "
                    f"peak memory {memory:.0f} MiB",
                    flush=True,
                )
    return ALL_PASSED


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--count", type=int, default=300, help="submissions")
    flag("--architecture", choices=tuple(ARCHITECTURES), default="MNISTClassifier", help="of all")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    return parser.parse_args()


def make_submissions(folder: Path, count: int, architecture: str) -> list[Path]:
    """Write checkpoints with different weights, and return their paths."""
    paths = [folder / f"student{number:03}.pth" for number in range(count)]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        model = ARCHITECTURES[architecture]()
        content = {"model_state_dict": model.state_dict(), "model_architecture": architecture}
        save_checkpoint(path, content)
    return paths


def time_bare(paths: list[Path], data_dir: Path) -> float:
    """Return the seconds that parsing and predicting take in this process."""
    torch.set_num_threads(1)
    test_set = load_split(MNIST_SPEC, data_dir, "test")
    batches = Batches(test_set, batch_size=1000, device=torch.device("cpu"))

    def predict(path: Path) -> None:
        predict_logits(parse_checkpoint(path.read_bytes()).model, batches)

    for path in paths[:3]:
        predict(path)
    started = time.perf_counter()
    for path in paths:
        predict(path)
    return time.perf_counter() - started


def time_evaluate(
    submissions: Path, isolation: str, jobs: int, data_dir: Path
) -> tuple[float, float]:
    """Return the seconds of a whole run, and the peak memory of the main process in MiB."""
    output = submissions.parent / f"{isolation}-{jobs}" / "evaluation.json"
    command: list[str | Path] = [sys.executable, REPOSITORY / "evaluate.py", submissions]
    command += ["--output", output, "--data-dir", data_dir]
    command += ["--isolation", isolation, "--jobs", str(jobs)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    # The networks are untrained, so all of them are below the threshold.
    if process.returncode != SOME_FAILED:
        raise UserError(f"evaluate.py ended with exit status {process.returncode}")
    return seconds, peak


def peak_memory(pid: int) -> float:
    """Return the peak resident memory of a process so far, in MiB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


if __name__ == "__main__":
    run_script(main)
