"""Measure each claim of the tutorial: the recipe that follows it against the one that does not.

Every recipe is trained with every seed on half of the training images and measured on the other
half; the test images are never read. A run is a row in the output, written when it ends, so that
the same command goes on after an interruption. The seeds come one after the other: whenever the
study stops, the claims rest on the seeds that all recipes have had.
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.ablations import CPU, Setting
from bench.sweep import Run, key_of, known_runs, plan, sweep
from bench.tutorial import CLAIMS, MEASURES
from bench.verdicts import judge
from common.arguments import ArgumentParser, command_line
from common.environment import describe_environment
from common.errors import ALL_PASSED, require_positive, run_script
from common.files import write_json
from common.locks import folder_lock

# Half to train on, half to validate on: with as many validation images, what differs between two
# recipes is not drowned in the choice of images.
VAL_SIZE = 30_000


def judge_claims(runs: dict[str, Run], seeds: int) -> list[dict[str, Any]]:
    """Return the claims with differences and verdicts, over the seeds that all recipes have had."""

    def values(setting: Setting, name: str, over: list[int]) -> list[float]:
        return [runs[key_of(setting.describe(), seed)][name] for seed in over]

    settings = {setting for claim in CLAIMS for setting in (claim.follows, claim.other)}
    complete = [
        seed
        for seed in range(seeds)
        if all(key_of(setting.describe(), seed) in runs for setting in settings)
    ]
    if len(complete) < 2:
        return []
    rows = []
    for claim in CLAIMS:
        title, more_is_better = MEASURES[claim.measure]
        follows, other = (
            values(setting, claim.measure, complete) for setting in (claim.follows, claim.other)
        )
        sign = 1 if more_is_better else -1
        rows.append(
            {
                "claim": claim.words,
                "contrast": claim.contrast,
                "measure": title,
                "seeds": complete,
                "follows": follows,
                "other": other,
                # Positive where the claim is right.
                "differences": [sign * (a - b) for a, b in zip(follows, other, strict=True)],
            }
        )
    judged = judge([row["differences"] for row in rows])
    return [{**row, **verdict} for row, verdict in zip(rows, judged, strict=True)]


def main() -> int:
    """Train what is not in the output yet, and judge."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--seeds", type=int, default=10, help="seeds of each recipe: 0, 1, ...")
    flag("--jobs", type=int, default=2, help="trainings at once, on one thread each")
    flag("--output", type=Path, default="docs/claims.json", help="the runs and the verdicts")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(seeds=args.seeds, jobs=args.jobs)
    with folder_lock(args.output.parent, "name another --output"):
        runs = known_runs(args.output)
        settings = [s for claim in CLAIMS for s in (claim.follows, claim.other)]
        jobs = plan(settings, args.seeds, args.data_dir, VAL_SIZE)
        fields = {
            "command": command_line(),
            "environment": describe_environment(CPU),
            "images": {"train": 60_000 - VAL_SIZE, "validation": VAL_SIZE},
        }

        def write() -> list[dict[str, Any]]:
            claims = judge_claims(runs, args.seeds)
            write_json(args.output, {**fields, "claims": claims, "runs": list(runs.values())})
            return claims

        for run in sweep([job for job in jobs if job.key not in runs], args.jobs):
            runs[key_of(run["setting"], run["seed"])] = run
            write()
        claims = write()
    for row in claims:
        low, high = row["interval"]
        found = f"{row['mean_difference']:8.3f} ({low:.3f} to {high:.3f})"
        print(f"{row['verdict']:20} {found:28} {row['claim']}: {row['contrast']}, {row['measure']}")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
