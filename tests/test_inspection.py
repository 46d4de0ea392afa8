"""What a network has learned, on networks of which that is known."""

import numpy as np
import pytest
import torch
from torch import nn

from common.data.pixels import decode_pixels
from common.loops import Batches, predict_logits
from common.models import MNISTClassifier
from evaluations.rows import LogitAnswers, most_confident_errors
from own_runs.inspection import inspect_network
from reporting.figures.plane import plane


@pytest.fixture(scope="module")
def some_images(test_images):
    return test_images.select(np.arange(400))


def inspect(model, images):
    batches = Batches(images, 200, torch.device("cpu"))
    with torch.inference_mode():
        answers = LogitAnswers(predict_logits(model, batches).numpy())
    errors = most_confident_errors(answers, images, 5)
    return inspect_network(model, answers, errors, batches, images), answers, errors


def test_units_that_never_answer_are_dead(some_images):
    torch.manual_seed(0)
    model = MNISTClassifier(hidden_sizes=(30, 20))
    with torch.no_grad():
        model.fc1.bias[:7] = -1000
        model.fc2.bias[0] = 1000
    seen, *_ = inspect(model, some_images)
    first, second = seen["layers"]
    assert (first["units"], first["dead"]) == (30, 7)
    assert second["units"] == 20
    assert 0 < first["active"] < 100


def test_most_used_unit_is_the_one_that_adds_most(some_images):
    torch.manual_seed(0)
    model = MNISTClassifier(hidden_sizes=(30, 20))
    with torch.no_grad():
        model.fc1.weight[11] = 0
        model.fc1.weight[11, 14 * 28 + 14] = 1
        model.fc1.bias[11] = 100
    seen, *_ = inspect(model, some_images)
    weights = decode_pixels(seen["units"][0]["weights"])
    assert weights[14, 14] == 255
    assert (weights == 128).sum() == 783


def test_hiding_the_pixels_that_decide_changes_most(some_images):
    """A network that says 1 for ink in the middle, and 0 otherwise, decides by the middle."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 2), nn.ReLU(), nn.Linear(2, 10))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model[1].weight[0, 14 * 28 + 14] = 1
        model[1].bias[0] = 0.5
        model[3].weight[1, 0] = 10
        model[3].bias[0] = 1
    seen, _, errors = inspect(model, some_images)
    place = next(place for place, error in enumerate(errors) if error["predicted"] == 1)
    decisive = decode_pixels(seen["decisive"][place])
    rows, columns = np.nonzero(decisive == 255)
    # The square that hides a place reaches two pixels to each side.
    assert {*rows, *columns} == {12, 13, 14, 15, 16}
    assert decisive[0, 0] == 128


def test_plane_holds_errors_and_puts_classes_on_a_circle(some_images):
    torch.manual_seed(0)
    model = MNISTClassifier(hidden_sizes=(300, 300))
    seen, answers, _ = inspect(model, some_images)
    points = seen["plane"]
    wrong = int((answers.classes != some_images.targets).sum())
    shown = [point for point in points if point["true"] != point["predicted"]]
    assert len(shown) == min(wrong, 50)
    first, sixth = (
        np.mean([(p["x"], p["y"]) for p in points if p["true"] == label], axis=0)
        for label in (0, 5)
    )
    assert first[1] > 0.5 > -0.5 > sixth[1]
    figure = plane(points, [str(label) for label in range(10)], "<b>")
    assert figure.count("m-2-2") == len(shown)
    assert "<b>" not in figure


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
        nn.Sequential(nn.Conv2d(1, 2, 28), nn.Flatten(), nn.Linear(2, 4), nn.Linear(4, 10)),
    ],
)
def test_network_without_a_hidden_layer_of_pixels_has_nothing_to_show(some_images, model):
    assert inspect(model, some_images)[0] is None


def test_page_shows_what_both_networks_learned(finished):
    page = (finished.folder / "runs/report.html").read_text(encoding="utf-8")
    section = page.split('id="learned"')[1].split("</section>")[0]
    assert section.count("weights of a unit") == 18
    assert section.count("with the pixels that decided") == 10
    assert section.count('class="figure plane"') == 2
