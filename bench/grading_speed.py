"""What isolation costs: a class graded by evaluate.py, against the same files in one warm process.

*bare* loads each file and passes the 10,000 test images through it, in one process that has
everything loaded and runs one thread; no row, no limits, no isolation. *evaluate.py* is the whole
process from start to end, with rows, grades.csv and all. Prints seconds per submission and the
peak memory of the process that grades.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

import torch  # noqa: E402

from common.arguments import ArgumentParser  # noqa: E402
from common.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402
from common.data import load_part  # noqa: E402
from common.loops import Batches, predict_logits  # noqa: E402
from common.models import ARCHITECTURES  # noqa: E402


def main() -> None:
    """Make the files, time the ways in turn, print the ratios."""
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        submissions = Path(folder, "submissions")
        submissions.mkdir()
        paths = make_submissions(submissions, args.count, args.architecture)
        print(f"{args.count} submissions ({args.architecture}), milliseconds each")
        for isolation in ("process", "bubblewrap"):
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


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--count", type=int, default=300, help="submissions")
    flag("--architecture", choices=tuple(ARCHITECTURES), default="MNISTClassifier", help="of all")
    flag("--data-dir", type=Path, default=REPOSITORY / "data", help="folder of the data set")
    return parser.parse_args()


def make_submissions(folder: Path, count: int, architecture: str) -> list[Path]:
    """Write checkpoints with weights of their own, and return their paths."""
    paths = [folder / f"student{number:03}.pth" for number in range(count)]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        model = ARCHITECTURES[architecture]()
        content = {"model_state_dict": model.state_dict(), "model_architecture": architecture}
        save_checkpoint(path, content)
    return paths


def time_bare(paths: list[Path], data_dir: Path) -> float:
    """Return the seconds that loading and predicting take in this process."""
    torch.set_num_threads(1)
    batches = Batches(load_part(data_dir, "test"), batch_size=1000, device=torch.device("cpu"))
    for path in paths[:3]:
        predict_logits(load_checkpoint(path).model, batches)
    started = time.perf_counter()
    for path in paths:
        predict_logits(load_checkpoint(path).model, batches)
    return time.perf_counter() - started


def time_evaluate(
    submissions: Path, isolation: str, jobs: int, data_dir: Path
) -> tuple[float, float]:
    """Return the seconds of a whole run, and the peak memory of its own process in MiB."""
    output = submissions.parent / f"{isolation}-{jobs}" / "evaluation.json"
    command = [sys.executable, REPOSITORY / "evaluate.py", submissions, "--output", output]
    command += ["--isolation", isolation, "--jobs", str(jobs), "--data-dir", data_dir]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    if process.returncode != 1:  # untrained networks: all are below the threshold
        raise SystemExit(f"evaluate.py ended with {process.returncode}")
    return seconds, peak


def peak_memory(pid: int) -> float:
    """Return the most memory that a process has held so far, in MiB; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


if __name__ == "__main__":
    main()
