"""The units of the playground's network: clicked, chosen with keys, and what is shown of each."""

import base64
import itertools

import numpy as np
import torch

from tests.browser.browsing import OPACITIES, next_frame
from tests.browser.network import dequantized_logits, weights_and_biases


def units_of(playground, number):
    """Returns the weights of a layer, and the training images that its units show."""
    weights, _ = weights_and_biases(playground.document["network"]["layers"][number])
    return weights.numpy(), playground.document["strongest_images"][number]


def assert_unit_is_shown(page, playground, number, unit):
    next_frame(page)
    weights, strongest = units_of(playground, number)
    shares = np.abs(weights[unit]) / np.abs(weights[unit]).max()
    opacities = np.array(page.locator("#weights").evaluate(OPACITIES))
    assert np.abs(opacities[: len(shares)] / 255 - shares).max() < 0.005
    images = playground.document["training_digits"]["images"]
    expected = [f"no. {images[place]['index']}" for place in strongest[unit]]
    found = page.locator("#strongest small").all_inner_texts()
    assert [" ".join(text.split()) for text in found][: len(expected)] == expected
    marks = page.locator(".mark:not([hidden])")
    assert marks.evaluate_all("marks => marks.map((mark) => mark.id)") == [f"mark-{number + 1}"]


def test_unit_that_is_clicked_shows_its_weights_and_what_it_looks_for(page, playground):
    for number, (column, row) in enumerate([(40, 3), (17, 2)]):
        cells = page.locator(f"#units-{number + 1}")
        box = cells.bounding_box()
        columns, rows = (int(cells.get_attribute(side)) for side in ("width", "height"))
        x, y = (column + 0.5) * box["width"] / columns, (row + 0.5) * box["height"] / rows
        cells.click(position={"x": x, "y": y})
        assert page.input_value("#unit") == str(64 * row + column)
        assert_unit_is_shown(page, playground, number, 64 * row + column)


def test_unit_is_chosen_with_keys_alone(page, playground):
    page.focus("#layer")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "unit"
    page.keyboard.type("70")
    page.keyboard.press("ArrowUp")
    assert_unit_is_shown(page, playground, 1, int(page.input_value("#unit")))
    page.fill("#unit", "99999")
    assert_unit_is_shown(page, playground, 1, len(units_of(playground, 1)[0]) - 1)
    page.fill("#unit", "")
    assert_unit_is_shown(page, playground, 1, 0)


def test_pixels_of_a_deep_unit_are_the_gradient_of_what_it_adds_up(page, playground):
    opening = playground.document["test_digits"]["recognised"][0]
    pixels = np.frombuffer(base64.b64decode(opening["pixels"]), np.uint8).reshape(1, 28, 28)
    images = torch.tensor(pixels, dtype=torch.float64, requires_grad=True)
    network = playground.document["network"]
    first_three = {"network": {**network, "layers": network["layers"][:3]}}
    dequantized_logits(first_three, images)[0, 5].backward()
    found = np.array(page.evaluate("[...pixelWeights(2, 5)]"))
    expected = images.grad.numpy().ravel() * 255 * network["pixel_std"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    page.select_option("#layer", value="2")
    page.fill("#unit", "5")
    next_frame(page)
    assert page.is_visible("#pixels")
    assert any(page.locator("#pixels").evaluate(OPACITIES))


def test_numbers_of_training_images_are_on_one_line_beside_each_other(page, playground):
    images = playground.document["training_digits"]["images"]
    strongest = units_of(playground, 0)[1]
    unit = next(i for i, places in enumerate(strongest) if all_long(images, places))
    page.fill("#unit", str(unit))
    for width in (360, 800, 1100, 1280, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        next_frame(page)
        assert page.evaluate("probes.mostLines('#strongest small')") == 1
        boxes = [small.bounding_box() for small in page.locator("#strongest small").all()]
        for left, right in itertools.pairwise(boxes):
            assert right["y"] > left["y"] or right["x"] >= left["x"] + left["width"]


def all_long(images, places):
    return len(places) == 6 and all(images[place]["index"] >= 10_000 for place in places)
