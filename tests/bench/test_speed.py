"""The measurements of speed: what is compared, and how it is shown. No time is asserted."""

from pathlib import Path

import numpy as np
import pytest

from bench.speed import parts, peers
from bench.speed.epoch import CPU, RECIPES, table_of_parts
from common.loops import Batches
from common.support.errors import UserError


def test_peers_are_listed_by_their_fastest_round_beside_this_project():
    seconds = {
        "project": {"first": 3.0, "later": [2.5, 2.0]},
        "jax": {"first": 6.5, "later": [1.0, 2.0, 1.5]},
        "scikit-learn": {"first": 4.0, "later": [4.5]},
    }
    _, jax, project, scikit_learn = peers.table(seconds).splitlines()
    assert jax.split()[:5] == ["jax", "1.00", "1.50", "5.0", "0.50"]
    assert project.split() == ["project", "2.00", "2.25", "0.8", "1.00"]
    assert scikit_learn.endswith("2.25  no dropout, no batch normalisation")


def test_peer_that_cannot_start_is_named(tmp_path):
    with (
        pytest.raises(UserError, match="the process of abacus has ended with 1"),
        peers.started(["abacus"], "base", Path("data")),
    ):
        pass


@pytest.mark.parametrize("recipe", RECIPES)
def test_parts_of_a_step_are_added_one_by_one_to_a_whole_epoch(train_images, recipe):
    batches = Batches(train_images.select(np.arange(128)), 64, CPU)
    steps = parts.cumulative_steps(RECIPES[recipe], batches)
    expected = [part for part in parts.PARTS if recipe == "improved" or part != parts.BATCH_NORM]
    assert list(steps) == expected
    for few_steps in steps.values():
        few_steps()
    assert steps[parts.LOOP]().total == 128


def test_table_of_parts_has_what_each_adds():
    microseconds = {part: 100.0 * number for number, part in enumerate(parts.PARTS, start=1)}
    seconds = {part: [2e-4 * micro] for part, micro in microseconds.items()}
    lines = table_of_parts({"improved": seconds}).splitlines()
    assert all(line.split()[-1] == "100" for line in lines[1:-1])
    assert lines[-1].split() == ["all", "800"]
