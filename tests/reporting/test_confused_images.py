"""The images behind the cells of the confusion matrices."""

import base64
import io
import re

import numpy as np
from PIL import Image


def test_cell_of_a_confusion_matrix_leads_to_images_of_its_errors(
    page_text, evaluation, test_images
):
    for number, row in enumerate(evaluation["results"], start=1):
        matrix, confused = row["confusion_matrix"], row["confused"]
        errors = {error["index"]: error for error in confused}
        links = re.findall(rf'<a href="#e{number}-(\d)-(\d)">(\d+)</a>', page_text)
        assert links, "the cells are links"
        panels = re.findall(
            rf'id="e{number}-(\d)-(\d)">.*?no\. ([\d, ]+)<i [^>]*--at:(\d+);--of:(\d+)"',
            page_text,
        )
        assert [panel[:2] for panel in panels] == [link[:2] for link in links]
        uri = re.findall(r"--sheet: url\(data:image/png;base64,([^)]*)\)", page_text)[number - 1]
        sheet = np.array(Image.open(io.BytesIO(base64.b64decode(uri))).convert("L"))
        place = 0
        for (true, predicted, numbers, at, of), (*_, count) in zip(panels, links, strict=True):
            indices = [int(index) for index in numbers.split(",")]
            assert int(count) == matrix[int(true)][int(predicted)]
            assert len(indices) == int(of) <= min(int(count), 6)
            assert int(at) == place
            sure = [errors[index]["probability"] for index in indices]
            assert sure == sorted(sure, reverse=True)
            for index in indices:
                assert errors[index]["true"] == test_images.targets[index] == int(true)
                assert errors[index]["predicted"] == int(predicted)
                drawn = 255 - sheet[:, 28 * place : 28 * place + 28].astype(int)
                assert abs(drawn - test_images.images[index]).max() < 16
                place += 1
        assert sheet.shape == (28, 28 * place)
        wrong = row["total"] - row["correct"]
        assert len(confused) == min(160, sum(min(c, 6) for r in matrix for c in r) - 60, wrong)


def test_of_the_most_frequent_confusions_most_images_are_shown(page_text, evaluation):
    """First one of each cell, then up to six of a cell, the largest number first."""
    for number, row in enumerate(evaluation["results"], start=1):
        matrix = row["confusion_matrix"]
        cells = [(error["true"], error["predicted"]) for error in row["confused"]]
        different = len(set(cells))
        for part in (cells[:different], cells[different:]):
            counts = [matrix[true][predicted] for true, predicted in part]
            assert counts == sorted(counts, reverse=True)
        assert len(set(cells[:different])) == different
        (most, *_) = row["most_confused"]
        assert cells.count((most["true"], most["predicted"])) == 6
        panel = rf'id="e{number}-{most["true"]}-{most["predicted"]}">[^<]*, 6 of {most["count"]}:'
        assert re.search(panel, page_text)
