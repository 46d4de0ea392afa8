"""Search the augmented recipe: train variants of it, and measure them on the validation images.

No test image is read. Each run becomes a row in the output when it ends; after an interruption the
same command continues. Prints the mean accuracy of each variant.
"""

import statistics
from dataclasses import replace
from pathlib import Path

from bench.study.ablations import AUGMENTED, CPU, Setting
from bench.study.sweep import key_of, known_runs, plan, run_job, sweep
from common.support.cli import ArgumentParser, command_line, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, require_positive
from common.support.files import folder_lock, write_json
from common.transforms import Distortions

VAL_SIZE = 5000  # train_improved.py's default

# A fifth of the recipe's epochs is enough to tell good variants from bad ones.
_SHORT = replace(AUGMENTED, epochs=20)


def distorted(
    rotation: float, shift: float, scale: float, shear: float, elasticity: float, grid_size: int
) -> Setting:
    """Return the short recipe with these distortions."""
    return replace(
        _SHORT, distortions=Distortions(rotation, shift, scale, shear, elasticity, grid_size)
    )


_FIRST = distorted(8, 0.8, 0.08, 0.1, 0.9, 6)
_SETTLED = distorted(7, 0.7, 0.07, 0.1, 0.8, 5)

VARIANTS = {
    "first guess": _FIRST,
    "first guess, milder": distorted(6, 0.7, 0.06, 0.08, 0.7, 6),
    "first guess, stronger": distorted(10, 1.0, 0.1, 0.15, 1.2, 6),
    "first guess, smoother (grid of 5)": distorted(8, 0.8, 0.08, 0.1, 0.9, 5),
    "first guess, less smooth (grid of 8)": distorted(8, 0.8, 0.08, 0.1, 0.9, 8),
    "first guess, no label smoothing": replace(_FIRST, label_smoothing=0.0),
    "mildest, grid of 4": distorted(5, 0.5, 0.05, 0.06, 0.7, 4),
    "mildest, grid of 5": distorted(5, 0.5, 0.05, 0.06, 0.7, 5),
    "mildest, grid of 7": distorted(5, 0.5, 0.05, 0.06, 0.7, 7),
    "mildest, grid of 4, more elastic": distorted(5, 0.5, 0.05, 0.06, 1.0, 4),
    "mildest, grid of 5, more elastic": distorted(5, 0.5, 0.05, 0.06, 1.0, 5),
    "settled: a little milder, grid of 5": _SETTLED,
    "settled, no dropout": replace(_SETTLED, dropout_rate=0.0),
    "settled, batches of 128": replace(_SETTLED, batch_size=128),
    "settled, twice as wide": replace(_SETTLED, hidden_sizes=(2048, 1024, 512, 256)),
}


def main() -> int:
    """Train what is missing in the output, and print the means."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--seeds", type=int, default=1, help="seeds of each variant: 0, 1, ...")
    flag("--jobs", type=int, default=2, help="trainings at the same time, one thread each")
    flag("--output", type=Path, default="bench/results/augment_search.json", help="the runs")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(seeds=args.seeds, jobs=args.jobs)
    with folder_lock(args.output.parent, "name another --output"):
        runs = known_runs(args.output)
        jobs = plan(VARIANTS.values(), args.seeds, args.data_dir, VAL_SIZE)
        fields = {"command": command_line(), "environment": describe_environment(CPU)}
        for run in sweep(run_job, [job for job in jobs if job.key not in runs], args.jobs):
            runs[key_of(run["setting"], run["seed"])] = run
            write_json(args.output, {**fields, "runs": list(runs.values())})
    plural = "" if args.seeds == 1 else "s"
    for name, setting in VARIANTS.items():
        keys = [key_of(setting.describe(), seed) for seed in range(args.seeds)]
        mean = statistics.mean(runs[key]["accuracy"] for key in keys)
        print(f"{mean:7.3f} %  {name} ({args.seeds} seed{plural})")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
