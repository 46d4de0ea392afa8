"""Distortions: different for each image, the same for a seed, within the frame; and the average."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import functional as tv

from common.loops import Batches
from common.models import ExponentialMovingAverage, ImprovedMNISTClassifier
from common.transforms import Distortions, normalize
from report import render
from reporting.sources import read_sources
from tests.conftest import read, run

NOTHING = Distortions(rotation=0, shift=0, scale=0, shear=0, elasticity=0)


@pytest.fixture
def images(train_images):
    return torch.tensor(train_images.images[:600])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_distortion_images_stay_as_they_are(images):
    assert torch.allclose(NOTHING(images), images.float(), atol=0.01)


def test_same_seed_gives_the_same_and_another_seed_others(images):
    first, same, other = (Distortions()(images, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_global_generator_decides_without_another(images):
    torch.manual_seed(7)
    first = Distortions()(images)
    torch.manual_seed(7)
    assert torch.equal(first, Distortions()(images))


def test_each_image_is_distorted_differently(images):
    copies = Distortions()(images[:1].expand(50, -1, -1))
    differences = torch.cdist(copies.flatten(1), copies.flatten(1))
    assert differences[~torch.eye(50, dtype=torch.bool)].min() > 100


def test_digits_stay_within_the_frame_and_grey(images):
    distorted = Distortions()(images, seeded())
    assert distorted.shape == (600, 28, 28)
    assert distorted.dtype == torch.float32
    assert distorted.min() >= 0
    assert distorted.max() <= 255.001  # interpolation rounds
    # Hardly any ink is lost over the edge: the ink near it is next to nothing, as in the originals.
    ink = distorted.sum(dim=(1, 2))
    edge = ink - distorted[:, 1:-1, 1:-1].sum(dim=(1, 2))
    assert (edge / ink).quantile(0.99) < 0.05
    assert ink.sum().item() == pytest.approx(images.sum().item(), rel=0.05)


@pytest.mark.parametrize(
    ("distortions", "expected"),
    [
        (Distortions(rotation=8, shift=0, scale=0, shear=0, elasticity=0), "rotation"),
        (Distortions(rotation=0, shift=1, scale=0, shear=0, elasticity=0), "shift"),
        (Distortions(rotation=0, shift=0, scale=0.1, shear=0, elasticity=0), "scale"),
        (Distortions(rotation=0, shift=0, scale=0, shear=0.2, elasticity=0), "shear"),
    ],
)
def test_strength_is_in_the_units_that_it_says(distortions, expected):
    """A cross of four blobs tells where it went: the moments of each are measured."""
    image = torch.zeros(28, 28, dtype=torch.uint8)
    points = {"east": (14, 22), "west": (14, 6), "north": (6, 14), "south": (22, 14)}
    places = {}
    for name, (y, x) in points.items():
        blob = image.clone()
        blob[y - 1 : y + 2, x - 1 : x + 2] = 255
        moved = distortions(blob.expand(4000, 28, 28), seeded(3))
        total = moved.sum(dim=(1, 2))
        axis = torch.arange(28.0)
        places[name] = torch.stack(
            [(moved.sum(1) * axis).sum(1) / total, (moved.sum(2) * axis).sum(1) / total], dim=1
        )
    along = places["east"] - places["west"]
    upright = places["south"] - places["north"]
    measured = {
        "rotation": torch.atan2(along[:, 1], along[:, 0]).std() * 180 / math.pi,
        "shift": places["east"][:, 0].std(),
        "scale": (along.norm(dim=1) / 16).log().std(),
        "shear": (upright[:, 0] / upright[:, 1]).std(),
    }
    sizes = {"rotation": 8, "shift": 1, "scale": 0.1, "shear": 0.2}
    assert measured[expected] == pytest.approx(sizes[expected], rel=0.08)


def test_rotation_agrees_with_torchvision(images):
    """The same angle, by another implementation, apart from the blur at the edges of strokes."""
    turned = Distortions(rotation=20, shift=0, scale=0, shear=0, elasticity=0)(images, seeded(5))
    # The first numbers drawn after those of the elastic grid are the angles.
    generator = seeded(5)
    angles = torch.randn(600, generator=generator) * 20
    for image, mine, angle in zip(images[:20], turned, angles, strict=False):
        theirs = tv.rotate(
            image[None].float(), angle.item(), interpolation=tv.InterpolationMode.BILINEAR
        )
        assert (mine - theirs[0]).abs().mean() < 1


def test_elastic_distortion_bends_neighbours_alike(images):
    bent = Distortions(rotation=0, shift=0, scale=0, shear=0, elasticity=1)(images, seeded())
    assert (bent - images.float()).abs().mean() > 5
    assert Distortions(elasticity=1).describe()["elasticity"] == 1


def test_batches_distort_anew_at_each_pass_and_validation_stays(train_images, images):
    data = train_images.select(np.arange(600))
    batches = Batches(data, 100, torch.device("cpu"), distort=Distortions())
    torch.manual_seed(0)
    first, second = (torch.cat([batch for batch, _ in batches]) for _ in range(2))
    assert first.shape == (600, 1, 28, 28)
    assert not torch.equal(first, second)
    assert np.isclose(float(first.min()), float(normalize(torch.zeros(1, 1, 1)).min()))
    plain = Batches(data, 600, torch.device("cpu"))
    assert torch.equal(next(iter(plain))[0], normalize(images))


def test_average_follows_the_weights_by_its_decay():
    model = ImprovedMNISTClassifier(hidden_sizes=(4,))
    average = ExponentialMovingAverage(model, decay=0.9)
    expected = model.fc1.weight.detach().clone()
    for step in range(5):
        nn.init.constant_(model.fc1.weight, step)
        average.update_parameters(model)
        now = model.fc1.weight.detach()
        expected = now.clone() if step == 0 else 0.9 * expected + 0.1 * now
        assert torch.allclose(average.module.fc1.weight, expected)
    model.bn1.running_mean.fill_(10)
    average.update_parameters(model)
    assert torch.allclose(average.module.bn1.running_mean, torch.ones(4))


def test_augmented_run_is_measured_and_shown(few_digits, workspace):
    completed = run("train_improved.py", "--augment", *few_digits, "--epochs", "1", cwd=workspace)
    assert completed.returncode == 0, completed.stderr
    metrics = read(workspace / "runs/idx/augmented/metrics.json")
    assert metrics["recipe"]["batch_size"] == 256
    assert metrics["recipe"]["model"]["dropout_rate"] == 0.05
    assert metrics["recipe"]["distortions"]["name"] == "Distortions"
    assert metrics["recipe"]["average"] == {"name": "ExponentialMovingAverage", "decay": 0.998}
    assert metrics["parameters"] == 1_497_994
    assert run("evaluate.py", "--threshold", "1", *few_digits[:4], cwd=workspace).returncode == 0
    (row,) = read(workspace / "runs/idx/evaluation.json")["results"]
    assert row["name"] == "augmented"
    page = render({"runs": read_sources(workspace / "runs/idx/evaluation.json")})
    assert "What augmented was trained on" in page
    assert page.count(', distorted"') == 40
