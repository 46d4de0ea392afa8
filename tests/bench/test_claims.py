"""The study of the tutorial's claims: the recipes of the scripts, the looks, and the page."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import report
from bench.study.ablations import (
    BASE,
    IMPROVED,
    AblatedClassifier,
    build_network,
    build_optimizer,
    build_schedule,
    epochs_to,
    train,
)
from bench.study.claims import LOOKS, judge_claims, undecided
from bench.study.sweep import key_of
from bench.study.tutorial import CLAIMS, MEASURES
from common.checkpoints import TrainingState, describe_recipe
from common.data.catalog import MNIST_SPEC
from common.data.splits import load_training_data
from common.loops import Batches
from common.support.errors import UserError
from tests.conftest import REPO, read, run
from tests.reporting.test_report import Page


@pytest.mark.parametrize(("name", "setting"), [("base", BASE), ("improved", IMPROVED)])
def test_settings_are_the_recipes_of_the_scripts(finished, train_images, name, setting):
    recipe = read(finished.folder / f"runs/{name}/metrics.json")["recipe"]
    setting = replace(setting, epochs=recipe["epochs"])
    model = build_network(setting)
    optimizer = build_optimizer(setting, model)
    schedule = build_schedule(setting, optimizer, steps_per_epoch=47)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=setting.label_smoothing)
    batches = Batches(train_images, setting.batch_size, torch.device("cpu"))
    state = TrainingState(model, optimizer, schedule, batches)
    ours = describe_recipe(state, criterion, setting.epochs, seed=42, val_size=57_000)
    for key in ("batch_size", "epochs", "seed", "val_size"):
        assert ours[key] == recipe[key]
    assert ours["loss"] == recipe["loss"]
    for key in ("hidden_sizes", "dropout_rate"):
        assert ours["model"][key] == recipe["model"][key]
    for key in ("name", "weight_decay", "betas"):
        assert list(map(str, [ours["optimizer"][key]])) == list(
            map(str, [tuple(v) if isinstance(v := recipe["optimizer"][key], list) else v])
        )
    assert ours["schedule"]["name"] == recipe["schedule"]["name"]
    if name == "improved":
        assert ours["schedule"] == recipe["schedule"]
    else:
        assert (ours["schedule"]["gamma"], ours["schedule"]["initial_lr"]) == (0.7, 1e-3)


def test_dropout_before_or_after_relu_is_the_same_function():
    images = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    after = AblatedClassifier(BASE)
    before = AblatedClassifier(replace(BASE, dropout_first=True))
    before.load_state_dict(after.state_dict())
    logits = []
    for model in (after, before):
        torch.manual_seed(1)  # the same units dropped
        logits.append(model(images))
    assert torch.equal(*logits)
    sigmoid = [
        AblatedClassifier(replace(BASE, activation="sigmoid", dropout_first=f)) for f in (0, 1)
    ]
    sigmoid[1].load_state_dict(sigmoid[0].state_dict())
    logits = []
    for model in sigmoid:
        torch.manual_seed(1)
        logits.append(model(images))
    assert not torch.allclose(*logits)


def test_raw_pixels_reach_the_network_as_they_are():
    raw = AblatedClassifier(replace(BASE, normalize=False))
    plain = AblatedClassifier(BASE)
    plain.load_state_dict(raw.state_dict())
    pixels = torch.rand(8, 1, 28, 28)
    normalised = (pixels - 0.1307) / 0.3081
    assert torch.allclose(raw.eval()(normalised), plain.eval()(pixels), atol=1e-5)


def test_schedules_are_what_they_are_called():
    model = build_network(BASE)

    def rates(schedule):
        setting = replace(BASE, epochs=2, schedule=schedule)
        optimizer = build_optimizer(setting, model)
        moved = build_schedule(setting, optimizer, steps_per_epoch=5)
        assert isinstance(moved, lr_scheduler.LRScheduler)
        found = []
        for _ in range(10):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            moved.step()
        return found

    assert rates("constant") == [1e-3] * 10
    assert rates("StepLR") == pytest.approx([1e-3] * 5 + [7e-4] * 5)
    assert max(rates("OneCycleLR")) == pytest.approx(1e-3)


def test_epochs_to_the_goal_are_read_off_a_line():
    assert epochs_to(97, [95, 99]) == pytest.approx(1.5)
    assert epochs_to(97, [97]) == pytest.approx(1)
    assert epochs_to(97, [90, 96.9]) == 3


def test_claims_set_two_recipes_against_each_other():
    assert len(CLAIMS) >= 15
    assert len({(claim.words, claim.contrast, claim.measure) for claim in CLAIMS}) == len(CLAIMS)
    for claim in CLAIMS:
        assert claim.measure in MEASURES
        assert claim.follows != claim.other


def test_training_is_the_same_for_the_same_seed(data_dir):
    data = load_training_data(MNIST_SPEC, data_dir, val_size=57_000, seed=42)
    data = data._replace(val=data.val.select(np.arange(1000)))
    small = replace(IMPROVED, epochs=1, hidden_sizes=(16,))
    first, same, other = (train(small, data, seed) for seed in (1, 1, 2))
    for row in (first, same, other):
        assert row.pop("seconds") > 0
    assert first == same != other


@pytest.fixture
def made_up_runs():
    """Runs of all seeds, in which only the base network's accuracy stands out clearly."""
    settings = {s for claim in CLAIMS for s in (claim.follows, claim.other)}
    measured = {"loss": 0.1, "calibration_error": 1.0, "seconds": 3.0, "epochs_to_goal": 3.0}
    return {
        key_of(s.describe(), seed): {
            **measured,
            "seed": seed,
            "accuracy": (98.0 if s == BASE else 97.0) + 0.001 * ((seed * len(s.describe())) % 5),
        }
        for s in settings
        for seed in range(LOOKS[-1])
    }


def test_each_look_decides_or_passes_on(made_up_runs):
    rows = judge_claims(made_up_runs)
    judged = dict(zip(CLAIMS, rows, strict=True))
    for claim, row in judged.items():
        is_plain = claim.measure == "accuracy" and BASE in (claim.follows, claim.other)
        expected = "contradicted" if claim.other == BASE else "supported"
        if is_plain and row["verdict"] != "undecided":
            assert row["verdict"] == expected
            assert row["seeds"] == list(range(LOOKS[0]))
        if claim.measure != "accuracy":
            assert (row["verdict"], row["seeds"]) == ("undecided", list(range(LOOKS[-1])))
    left = undecided(made_up_runs, LOOKS[-1])
    assert left == [claim for claim, row in judged.items() if row["verdict"] == "undecided"]
    assert 0 < len(left) < len(CLAIMS)
    assert undecided({}, 0) == list(CLAIMS), "before the first look all are"


def test_a_decision_stays_whatever_later_seeds_say(made_up_runs):
    """The first look counts that decides: nobody would have trained the later seeds."""
    reversed_later = {
        key: {
            **row,
            "accuracy": row["accuracy"] if row["seed"] < LOOKS[0] else 195 - row["accuracy"],
        }
        for key, row in made_up_runs.items()
    }
    before, after = judge_claims(made_up_runs), judge_claims(reversed_later)
    decided = [i for i, row in enumerate(before) if row["seeds"] == list(range(LOOKS[0]))]
    assert decided
    for i in decided:
        assert after[i] == before[i]


def test_second_look_decides_what_the_first_could_not(made_up_runs):
    """Differences of 0, 1, 1, 0, 1, 1, ...: p is 0.03 with seven of them, and 0.00002 with 18."""
    claim = next(c for c in CLAIMS if c.measure == "loss")
    for seed in range(LOOKS[-1]):
        made_up_runs[key_of(claim.follows.describe(), seed)]["loss"] = 1.0 - 0.999 * (seed % 3 > 0)
        made_up_runs[key_of(claim.other.describe(), seed)]["loss"] = 1.0
    row = dict(zip(CLAIMS, judge_claims(made_up_runs), strict=True))[claim]
    assert (row["verdict"], row["seeds"]) == ("supported", list(range(LOOKS[1])))


def test_seeds_count_that_both_recipes_have(made_up_runs):
    del made_up_runs[key_of(BASE.describe(), 1)]
    rows = judge_claims(made_up_runs)
    for claim, row in zip(CLAIMS, rows, strict=True):
        assert (1 in row["seeds"]) == (BASE not in (claim.follows, claim.other))
    assert judge_claims({}) == []


STUDY = REPO / "bench/results/claims.json"


def test_committed_study_has_its_verdicts_from_its_differences():
    document = read(STUDY)
    claims = document["claims"]
    assert len(claims) >= 15
    assert all(len(claim["seeds"]) in LOOKS for claim in claims)
    runs = {key_of(run["setting"], run["seed"]): run for run in document["runs"]}
    anew = judge_claims(runs)
    for claim, judged in zip(claims, anew, strict=True):
        same = ("claim", "contrast", "note", "measure", "more_is_better", "seeds", "differences")
        for key in (*same, "margin", "verdict"):
            assert claim[key] == judged[key]
        # Another scipy can round otherwise.
        for key in ("interval", "interval_corrected"):
            assert claim[key] == pytest.approx(judged[key])


def test_study_is_rendered_as_a_page(tmp_path):
    completed = run("report.py", "--claims", cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout == "Report: runs/claims.html\n"
    text = " ".join(Page((tmp_path / "runs/claims.html").read_text(encoding="utf-8")).text)
    for claim in read(STUDY)["claims"]:
        assert claim["claim"] in text
        assert claim["contrast"] in text
        assert f"{abs(claim['mean_difference']):.3f}" in text
        low, high = (
            f"{end:+.3f}".replace("-", "\N{MINUS SIGN}") for end in claim["interval_corrected"]
        )
        assert f"{low} to {high}" in text, "the interval that decides"
        assert (low[0] == high[0]) == (claim["verdict"] in ("supported", "contradicted"))
    assert "Adam's rate. That SGD needs tuning is not contradicted." in text


def test_study_of_another_kind_is_refused(tmp_path):
    study = read(STUDY)
    study["claims"][0]["verdict"] = "perhaps"
    (tmp_path / "s.json").write_text(json.dumps(study), encoding="utf-8")
    with pytest.raises(UserError, match=r"s\.json: .*run bench\.study\.claims again"):
        report.main([f"--claims={tmp_path}/s.json", f"--output={tmp_path}/claims.html"])
    assert not (tmp_path / "claims.html").exists()
