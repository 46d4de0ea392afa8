"""Train many recipes with many seeds, several at a time; each run becomes a row."""

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from bench.study.ablations import Setting, study_data, train
from common.support.files import read_json

Run = dict[str, Any]


class Job(NamedTuple):
    """A recipe to train with a seed, on a split of the training images."""

    setting: Setting
    seed: int
    data_dir: Path
    val_size: int

    @property
    def key(self) -> str:
        """The key of its row."""
        return key_of(self.setting.describe(), self.seed)


def key_of(setting: dict[str, Any], seed: int) -> str:
    """Return the key of a run; it is the same before a setting is written as JSON and after."""
    return json.dumps([setting, seed], sort_keys=True)


def plan(settings: Iterable[Setting], seeds: int, data_dir: Path, val_size: int) -> list[Job]:
    """Return a job for each distinct setting and seed, ordered by seed."""
    distinct = list(dict.fromkeys(settings))
    return [Job(setting, seed, data_dir, val_size) for seed in range(seeds) for setting in distinct]


def known_runs(path: Path) -> dict[str, Run]:
    """Return the rows that an earlier sweep has written to ``path``, by key."""
    rows = read_json(path, required=("runs",))["runs"] if path.exists() else []
    return {key_of(row["setting"], row["seed"]): row for row in rows}


def sweep(run_job: Callable[[Any], Run], jobs: list[Any], workers: int) -> Iterator[Run]:
    """Yield the row that ``run_job``, a function of a module, returns of each job, as it ends."""
    # Forking is safe here: this process has not yet computed with several threads.
    pool = multiprocessing.get_context("fork").Pool(workers, _prepare_worker)
    with pool, tqdm(total=len(jobs), unit="run", disable=None) as bar:
        for run in pool.imap_unordered(run_job, jobs):
            yield run
            bar.update()


def run_job(job: Job) -> Run:
    """Train a setting, and return ``setting``, ``seed`` and what ``train`` measures."""
    data = study_data(job.data_dir, job.val_size)
    measured = train(job.setting, data, job.seed)
    return {"setting": job.setting.describe(), "seed": job.seed, **measured}


def _prepare_worker() -> None:
    """Let a worker use one thread and ignore Ctrl-C; its parent ends it with SIGTERM."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
