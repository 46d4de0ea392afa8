"""Measure the playground: accuracy lost by weights of 8 bits, size of the page, nearest neighbours.

Measures each run in runs/ as if evaluate.py --playground had chosen it. Then, for several sizes of
the sample of training images, counts how often the nearest one shows the digit of the test image.
"""

import json
from pathlib import Path

import numpy as np
import torch

from bench.runs import measure
from common.data.arrays import LabelledImages, load_split
from common.data.catalog import MNIST_SPEC
from common.data.pixels import decode_pixels
from common.loops import Batches
from common.support.cli import ArgumentParser, run_script
from common.support.errors import ALL_PASSED
from own_runs.folders import find_own_runs
from own_runs.playground import describe_playground, sample_training_digits
from reporting.playground_page import render_playground

RUNS = Path("runs")
SAMPLES = (50, 100, 200, 400)  # training images of each digit


def share_of_true_neighbours(
    test_set: LabelledImages, training_images: LabelledImages, per_digit: int
) -> float:
    """Return the percentage of test images whose nearest sampled image shows the same digit."""
    sample = sample_training_digits(training_images, per_digit)["images"]
    sampled = torch.from_numpy(np.stack([decode_pixels(image["pixels"]) for image in sample]))
    digits = np.array([image["digit"] for image in sample])
    tested = torch.tensor(test_set.images)
    distances = torch.cdist(tested.flatten(1).float(), sampled.flatten(1).float())
    nearest = distances.argmin(dim=1).numpy()
    return 100 * float((digits[nearest] == test_set.targets).mean())


def main() -> int:
    """Measure, and print both tables."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    test_set = load_split(MNIST_SPEC, args.data_dir, "test")
    training_images = load_split(MNIST_SPEC, args.data_dir, "train")
    batches = Batches(test_set, batch_size=1000, device=torch.device("cpu"))
    print("run        32 bits, %  8 bits, %  lost, points  changed answers  page, MB")
    for folder in find_own_runs(RUNS, "mnist").runs:
        run = measure(folder, test_set, batches)
        document = describe_playground(run, test_set, batches, training_images)
        # Through JSON, since report.py renders what it has read from a file.
        page = render_playground(json.loads(json.dumps(document)), checksum="")
        whole, quantized = document["float_network"], document["quantized_network"]
        print(
            f"{folder.name:9}  {whole['accuracy']:10.2f}  {quantized['accuracy']:9.2f}  "
            f"{whole['accuracy'] - quantized['accuracy']:12.2f}  "
            f"{quantized['changed_answers']:15}  {len(page.encode()) / 1e6:8.2f}"
        )
    print("\nimages per digit  test images whose nearest one shows their digit, %")
    for per_digit in SAMPLES:
        share = share_of_true_neighbours(test_set, training_images, per_digit)
        print(f"{per_digit:16}  {share:.1f}")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
