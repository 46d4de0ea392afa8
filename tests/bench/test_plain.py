"""The study of the plain network: its recipe, its distortions, and what it has committed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from bench.study.plain.best import BEST
from bench.study.plain.distortions import WiderDistortions, erase, scaled, thicken
from bench.study.plain.misses import smallest_changes
from bench.study.plain.recipe import PlainNetwork, Recipe, build, localize, measure, train
from bench.study.plain.search import CHANGES, LONGER, RECIPE, key_of, known_runs, load_network
from common.data.catalog import MNIST_SPEC
from common.data.splits import load_training_data
from common.models import ImprovedMNISTClassifier, count_parameters
from common.support.errors import UserError
from common.transforms import Distortions
from tests.conftest import REPO, read, run
from tests.processes import run_forked

RESULTS = REPO / "bench/results"


def test_recipe_is_that_of_train_improved_with_augment(few_digits, workspace):
    completed = run("train_improved.py", "--augment", *few_digits, "--epochs", "1", cwd=workspace)
    assert completed.returncode == 0, completed.stderr
    recipe = read(workspace / "runs/idx/augmented/metrics.json")["recipe"]
    assert list(RECIPE.hidden_sizes) == recipe["model"]["hidden_sizes"]
    assert RECIPE.dropout_rate == recipe["model"]["dropout_rate"]
    assert RECIPE.batch_size == recipe["batch_size"]
    assert RECIPE.label_smoothing == recipe["loss"]["label_smoothing"]
    assert recipe["optimizer"]["name"] == "AdamW"
    assert RECIPE.weight_decay == recipe["optimizer"]["weight_decay"]
    assert RECIPE.lr == recipe["schedule"]["max_lr"]
    assert RECIPE.average_decay == recipe["average"]["decay"]
    assert RECIPE.distortions.describe() == recipe["distortions"]


def test_network_is_the_improved_one():
    torch.manual_seed(0)
    plain = PlainNetwork((32, 16), 0.05, "relu").eval()
    improved = ImprovedMNISTClassifier(hidden_sizes=(32, 16)).eval()
    improved.load_state_dict(plain.state_dict())
    images = torch.randn(5, 1, 28, 28)
    assert torch.equal(plain(images), improved(images))


def square(side):
    """A square of ink, ``side`` pixels wide, in the middle of the frame."""
    image = torch.zeros(1, 28, 28)
    start = (28 - side) // 2
    image[:, start : start + side, start : start + side] = 255
    return image


@pytest.mark.parametrize(("gain", "side"), [(1.0, 8), (-1.0, 4), (0.0, 6)])
def test_strokes_gain_pixels_on_each_side(gain, side):
    changed = thicken(square(6), torch.tensor([gain]))
    # The corners of a dilation by four neighbours stay empty.
    assert torch.equal(changed[0, 14], square(side)[0, 14])
    assert torch.equal(changed[0, :, 14], square(side)[0, :, 14])


def test_half_a_pixel_is_half_the_grey():
    row = thicken(square(6), torch.tensor([0.5]))[0, 14]
    assert row[10] == row[17] == 127.5
    assert row[11] == 255
    assert row[9] == 0


def test_share_of_the_images_loses_a_rectangle():
    full = torch.full((2000, 28, 28), 255.0)
    lost = erase(full, 0.2, torch.Generator().manual_seed(0)) == 0
    touched = lost.flatten(1).any(dim=1)
    assert 0.17 < touched.float().mean() < 0.23
    for image in lost[touched][:50]:
        rows, columns = image.any(dim=1).sum(), image.any(dim=0).sum()
        assert image.sum() == rows * columns, "a rectangle"
        assert 4 <= rows <= 10
        assert 4 <= columns <= 10


def test_extreme_share_is_distorted_twice_as_much():
    still = Distortions(rotation=0, shift=0.7, scale=0, shear=0, elasticity=0)
    wider = WiderDistortions(rotation=0, shift=0.7, scale=0, shear=0, elasticity=0, extreme=0.5)
    images = square(6).to(torch.uint8).repeat(2000, 1, 1)
    places = torch.arange(28.0)

    def spread(distorted):
        return ((distorted.sum(dim=1) @ places) / distorted.sum(dim=(1, 2))).std().item()

    torch.manual_seed(0)
    distorted = wider(images)
    assert spread(still(images)) == pytest.approx(0.7, rel=0.1)
    assert spread(distorted[:1000]) == pytest.approx(1.4, rel=0.1)
    assert spread(distorted[1000:]) == pytest.approx(0.7, rel=0.1)


def test_scaled_distortions_keep_the_rest():
    half = scaled(WiderDistortions(thickness=0.3), 0.5)
    assert half == WiderDistortions(3.5, 0.35, 0.035, 0.05, 0.4, 5, thickness=0.3)
    assert scaled(Distortions(), 1) == Distortions()


def test_units_start_with_a_local_view():
    torch.manual_seed(0)
    layer = nn.Linear(784, 200)
    before = layer.weight.square().mean().item()
    localize(layer, window=3.0)
    weights = layer.weight.detach().view(200, 28, 28)
    assert weights.square().mean().item() == pytest.approx(before, rel=0.05)
    for unit in weights:
        energy = unit.square()
        y, x = np.unravel_index(int(energy.argmax()), (28, 28))
        near = energy[max(0, y - 9) : y + 10, max(0, x - 9) : x + 10].sum()
        assert near > 0.95 * energy.sum()


@pytest.fixture(scope="module")
def few(data_dir):
    return load_training_data(MNIST_SPEC, data_dir, val_size=57_000, seed=0)


def test_short_training_learns_and_repeats_itself(few):
    small = Recipe(epochs=4, hidden_sizes=(64, 32), average_decay=0.9, last_strength=0.5)
    (first, _), (second, _) = train(small, few, seed=1), train(small, few, seed=1)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert next(first.parameters()).dtype == torch.float32
    found = measure(first, few)
    assert found["val_accuracy"] > 80
    assert found["accuracies"]["train"] > found["accuracies"]["train_distorted"]


class LeftOrRight(nn.Module):
    """Answers 1 if the middle of the ink is right of the frame's middle by a pixel, else 0."""

    def forward(self, images):
        ink = images[:, 0] - images.amin(dim=(1, 2, 3))[:, None, None]
        middle = (ink.sum(dim=1) @ (torch.arange(28.0) - 13.5)) / ink.sum(dim=(1, 2))
        return torch.eye(10)[(middle > 1).long()] * 20


def test_smallest_change_that_mends_is_found():
    """A pixel is 1.43 standard deviations of the shift: 1.5 is the first step beyond it."""
    changes = smallest_changes(square(6)[0], 1, [LeftOrRight()])
    assert changes["shift"] == 1.5
    # What leaves the middle where it is mends nothing.
    for way in ("rotation", "slant", "width", "height", "thickness"):
        assert changes[way] is None
    assert changes["local stretch"] is not None


def test_missing_networks_are_an_error_with_a_way_out(tmp_path):
    run_of_it = {"recipe": {}, "split": 0, "seed": 0}
    with pytest.raises(UserError, match="does not hold all networks of the search: train them"):
        load_network(tmp_path, run_of_it)


def test_page_of_figures_is_drawn_from_what_is_stored(tmp_path, data_dir):
    output = tmp_path / "page.png"
    flags = ["--output", output, "--data-dir", data_dir]
    drawn = run_forked(REPO / "bench/study/plain/figures.py", flags, REPO)
    assert drawn.returncode == 0, drawn.stderr
    assert imread(output).shape == imread(REPO / "docs/plain_network.png").shape


def test_search_holds_each_change_with_two_seeds_on_two_splits():
    runs = known_runs(RESULTS / "plain_search.json")
    for recipe in (*CHANGES.values(), *LONGER.values()):
        for split in (0, 1):
            for seed in (0, 1):
                run = runs[key_of(recipe.describe(), split, seed)]
                assert 99 < run["val_accuracy"] < 100


def test_committed_network_is_plain_and_its_mean_is_that_of_its_runs():
    document = read(RESULTS / "plain_network.json")
    assert document["recipe"] == BEST.describe()
    assert document["parameters"] == count_parameters(build(BEST)) <= 12_000_000
    accuracies = [row["test_accuracy"] for row in document["runs"]]
    assert [row["seed"] for row in document["runs"]] == [42, 43, 44]
    assert document["mean_test_accuracy"] == pytest.approx(np.mean(accuracies))
    for row in document["runs"]:
        low, high = row["test_accuracy_ci95"]
        assert low < row["test_accuracy"] < high


def test_a_recipe_is_described_as_it_is_read_back():
    described = replace(RECIPE, hidden_sizes=(8, 4), lr=0.01).describe()
    assert described == {"hidden_sizes": [8, 4], "lr": 0.01}
