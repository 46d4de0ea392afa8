"""Measure each claim of the tutorial: the recipe that follows it against the one that does not.

Every recipe is trained with every seed on half of the training images and measured on the other
half. No test image is read. Each run becomes a row in the output when it ends; after an
interruption the same command continues. All recipes are trained with one seed before the next seed
begins, and the verdicts are based on the seeds that are complete.
"""

from pathlib import Path
from typing import Any

from bench.study.ablations import CPU, Setting
from bench.study.sweep import Run, key_of, known_runs, plan, sweep
from bench.study.tutorial import CLAIMS, MEASURES
from bench.study.verdicts import judge
from common.support.cli import ArgumentParser, command_line, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, require_positive
from common.support.files import folder_lock, write_json

# Half of the training images. With so many validation images, the difference between two recipes is
# large compared with the effect of which images were chosen.
VAL_SIZE = 30_000


def judge_claims(runs: dict[str, Run], seeds: int) -> list[dict[str, Any]]:
    """Return the claims with differences and verdicts, over the seeds that all recipes have.

    With fewer than two such seeds there are none.
    """

    def values(setting: Setting, measure: str, seeds: list[int]) -> list[float]:
        return [runs[key_of(setting.describe(), seed)][measure] for seed in seeds]

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
    """Train what is missing in the output, and judge the claims."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    flag("--seeds", type=int, default=10, help="seeds of each recipe: 0, 1, ...")
    flag("--jobs", type=int, default=2, help="trainings at the same time, one thread each")
    flag("--output", type=Path, default="bench/results/claims.json", help="runs and verdicts")
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
