"""The pad of the playground: drawing on it, and what its network is fed."""

import numpy as np
import torch

from common.transforms import normalize
from tests.browser.browsing import next_frame


def on_screen(page, points):
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / 280
    return [(box["x"] + x * scale, box["y"] + y * scale) for x, y in points]


def draw_stroke(page, points):
    first, *others = on_screen(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point, steps=3)
    page.mouse.up()


def input_of_network(page):
    next_frame(page)
    return np.array(page.evaluate("[...(inputOfNetwork() ?? [])]"))


def first_image_of(test_images, model, digit):
    """Returns the first test image of a digit that the network recognises."""
    images = torch.tensor(test_images.images[test_images.targets == digit][:50])
    with torch.inference_mode():
        answers = model(normalize(images)).argmax(dim=1)
    return images[answers == digit][0].numpy()
