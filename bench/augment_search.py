"""Search the augmented recipe: train variants of it, and measure them on the validation images.

The test images are not read. A run is a row in docs/augment_search.json, written when it ends; the
same command goes on after an interruption. Prints the mean accuracy of each variant.
"""

import statistics
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.ablations import AUGMENTED, CPU, Setting
from bench.sweep import key_of, known_runs, plan, sweep
from common.arguments import ArgumentParser, command_line
from common.augment import Distortions
from common.environment import describe_environment
from common.errors import ALL_PASSED, require_positive, run_script
from common.files import write_json
from common.locks import folder_lock

VAL_SIZE = 5000  # as the script has it

# A fifth of the recipe's epochs: enough to tell good from bad, and not more than that.
_SHORT = replace(AUGMENTED, epochs=20)


def distorted(
    rotation: float, shift: float, scale: float, shear: float, elasticity: float, knots: int
) -> Setting:
    """Return the short recipe with these distortions."""
    return replace(
        _SHORT, distortions=Distortions(rotation, shift, scale, shear, elasticity, knots)
    )


_FIRST = distorted(8, 0.8, 0.08, 0.1, 0.9, 6)
_SETTLED = distorted(7, 0.7, 0.07, 0.1, 0.8, 5)

VARIANTS = {
    "first guess": _FIRST,
    "first guess, milder": distorted(6, 0.7, 0.06, 0.08, 0.7, 6),
    "first guess, stronger": distorted(10, 1.0, 0.1, 0.15, 1.2, 6),
    "first guess, smoother (5 knots)": distorted(8, 0.8, 0.08, 0.1, 0.9, 5),
    "first guess, less smooth (8 knots)": distorted(8, 0.8, 0.08, 0.1, 0.9, 8),
    "first guess, no label smoothing": replace(_FIRST, label_smoothing=0.0),
    "mildest, 4 knots": distorted(5, 0.5, 0.05, 0.06, 0.7, 4),
    "mildest, 5 knots": distorted(5, 0.5, 0.05, 0.06, 0.7, 5),
    "mildest, 7 knots": distorted(5, 0.5, 0.05, 0.06, 0.7, 7),
    "mildest, 4 knots, more elastic": distorted(5, 0.5, 0.05, 0.06, 1.0, 4),
    "mildest, 5 knots, more elastic": distorted(5, 0.5, 0.05, 0.06, 1.0, 5),
    "settled: a little milder, 5 knots": _SETTLED,
    "settled, no dropout": replace(_SETTLED, dropout_rate=0.0),
    "settled, batches of 128": replace(_SETTLED, batch_size=128),
    "settled, twice as wide": replace(_SETTLED, hidden_sizes=(2048, 1024, 512, 256)),
}


def main() -> int:
    """Train what is not in the output yet, and print the means."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--seeds", type=int, default=1, help="seeds of each variant: 0, 1, ...")
    flag("--jobs", type=int, default=2, help="trainings at once, on one thread each")
    flag("--output", type=Path, default="docs/augment_search.json", help="the runs")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(seeds=args.seeds, jobs=args.jobs)
    with folder_lock(args.output.parent, "name another --output"):
        runs = known_runs(args.output)
        jobs = plan(VARIANTS.values(), args.seeds, args.data_dir, VAL_SIZE)
        fields = {"command": command_line(), "environment": describe_environment(CPU)}
        for run in sweep([job for job in jobs if job.key not in runs], args.jobs):
            runs[key_of(run["setting"], run["seed"])] = run
            write_json(args.output, {**fields, "runs": list(runs.values())})
    for name, setting in VARIANTS.items():
        found = [
            run["accuracy"]
            for seed in range(args.seeds)
            if (run := runs.get(key_of(setting.describe(), seed)))
        ]
        print(f"{statistics.mean(found):7.3f} %  {name} ({len(found)} seeds)")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
