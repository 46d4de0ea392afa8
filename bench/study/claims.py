"""Measure each claim of the tutorial: the recipe that follows it against the one that does not.

Every recipe is trained with the same seeds on half of the training images and measured on the other
half. No test image is read. What a look at the results leaves undecided gets the seeds of the next
look. Each run becomes a row in the output when it ends; after an interruption the same command
continues.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.study.ablations import CPU, Setting
from bench.study.sweep import Job, Run, key_of, known_runs, plan, run_job, sweep
from bench.study.tutorial import CLAIMS, MEASURES, Claim
from bench.study.verdicts import EQUIVALENT, UNDECIDED, judge, margin_for, rate_for
from common.support.cli import ArgumentParser, command_line, run_script
from common.support.environment import describe_environment
from common.support.errors import ALL_PASSED, require_positive
from common.support.files import folder_lock, write_json

# Half of the training images. With so many validation images, the difference between two recipes is
# large compared with the effect of which images were chosen.
VAL_SIZE = 30_000

# Seeds of a recipe at each look at the results. The third look was added after the second had left
# seven claims undecided, so the error rate is divided by three for all claims and all looks.
LOOKS = (7, 18, 30)
# The margins were fixed between the first look and the second.
MARGIN_SEEDS = 18


def judge_claims(runs: dict[str, Run], num_seeds: int = LOOKS[-1]) -> list[dict[str, Any]]:
    """Return the claims with differences and verdicts.

    Each claim is judged by the seeds of the first look that decides it, and at most by those below
    ``num_seeds``. Without two seeds for each claim there are none.
    """
    rows = [_judge_claim(claim, runs, num_seeds) for claim in CLAIMS]
    return [row for row in rows if row] if all(rows) else []


def _judge_claim(claim: Claim, runs: dict[str, Run], num_seeds: int) -> dict[str, Any] | None:
    seeds = [
        seed
        for seed in range(num_seeds)
        if all(key_of(s.describe(), seed) in runs for s in (claim.follows, claim.other))
    ]
    rate = rate_for(len(CLAIMS), len(LOOKS))
    margin, row = None, None
    for look in LOOKS:
        measured = _measured(claim, runs, [seed for seed in seeds if seed < look])
        differences = measured["differences"]
        if len(differences) < 2:
            return None
        if look == LOOKS[0]:
            margin = margin_for(differences, MEASURES[claim.measure].matters, MARGIN_SEEDS, rate)
        row = {**measured, **judge(differences, margin, rate)}
        if row["verdict"] != UNDECIDED:
            break
    return row


def _measured(claim: Claim, runs: dict[str, Run], seeds: list[int]) -> dict[str, Any]:
    """Return what the two recipes measured with these seeds."""
    measure = MEASURES[claim.measure]
    follows, other = (
        [runs[key_of(setting.describe(), seed)][claim.measure] for seed in seeds]
        for setting in (claim.follows, claim.other)
    )
    sign = 1 if measure.more_is_better else -1
    return {
        "claim": claim.words,
        "contrast": claim.contrast,
        "note": claim.note,
        "measure": measure.title,
        "more_is_better": measure.more_is_better,
        "seeds": seeds,
        "follows": follows,
        "other": other,
        # Positive where the claim is right.
        "differences": [sign * (a - b) for a, b in zip(follows, other, strict=True)],
    }


def undecided(runs: dict[str, Run], num_seeds: int) -> list[Claim]:
    """Return the claims that the seeds below ``num_seeds`` leave undecided; before any, all."""
    rows = judge_claims(runs, num_seeds)
    if not rows:
        return list(CLAIMS)
    return [c for c, row in zip(CLAIMS, rows, strict=True) if row["verdict"] == UNDECIDED]


def settings_of(claims: Iterable[Claim]) -> list[Setting]:
    """Return the recipes of some claims."""
    return [setting for claim in claims for setting in (claim.follows, claim.other)]


def main() -> int:
    """Train what is missing in the output, and judge the claims."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    flag = parser.add_argument
    what = "at most so many seeds, 0, 1, ..., of the recipes that are undecided until then"
    flag("--seeds", type=int, default=LOOKS[-1], help=what)
    flag("--jobs", type=int, default=2, help="trainings at the same time, one thread each")
    flag("--output", type=Path, default="bench/results/claims.json", help="runs and verdicts")
    flag("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    require_positive(seeds=args.seeds, jobs=args.jobs)
    with folder_lock(args.output.parent, "name another --output"):
        runs = known_runs(args.output)
        fields = {
            "command": command_line(),
            "environment": describe_environment(CPU),
            "images": {"train": 60_000 - VAL_SIZE, "validation": VAL_SIZE},
        }

        def write() -> list[dict[str, Any]]:
            claims = judge_claims(runs, args.seeds)
            write_json(args.output, {**fields, "claims": claims, "runs": list(runs.values())})
            return claims

        def train(jobs: list[Job]) -> None:
            for run in sweep(run_job, [job for job in jobs if job.key not in runs], args.jobs):
                runs[key_of(run["setting"], run["seed"])] = run
                write()

        seen = 0
        for look in LOOKS:
            left = undecided(runs, min(seen, args.seeds))
            seen = min(look, args.seeds)
            train(plan(settings_of(left), seen, args.data_dir, VAL_SIZE))
        claims = write()
    for row in claims:
        low, high = row["interval"]
        found = f"{row['mean_difference']:8.3f} ({low:.3f} to {high:.3f})"
        within = f" within {row['margin']:g}" if row["verdict"] == EQUIVALENT else ""
        said = f"{row['verdict']}{within}"
        print(f"{said:23} {found:28} {row['claim']}: {row['contrast']}, {row['measure']}")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
