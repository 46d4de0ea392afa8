"""What the playground costs: accuracy lost to weights of 8 bits, bytes of the page, neighbours.

For each run in runs/, what evaluate.py --playground would measure if it were the best one; then how
often the nearest training image shows the digit of the test image, by the size of the sample.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from common.arguments import ArgumentParser
from common.errors import ALL_PASSED, run_script
from common.image_sets import MNIST
from common.own_runs import batches_of, find_own_runs, measure_run
from common.pixels import decode_pixels
from common.playground import describe_playground, sample_training_digits
from common.playground_page import render_playground
from common.reference import ReferenceSet, public_test_set

RUNS = [Path("runs/base"), Path("runs/improved"), Path("runs/augmented")]
SAMPLES = (50, 100, 200, 400)


def share_of_true_neighbours(reference: ReferenceSet, data_dir: Path, per_digit: int) -> float:
    """Return the percentage of test images whose nearest training image shows the same digit."""
    sample = sample_training_digits(MNIST, data_dir, per_digit)["images"]
    known = np.stack([decode_pixels(image["pixels"]) for image in sample])
    digits = np.array([image["digit"] for image in sample])
    images, others = (
        torch.from_numpy(a.copy()).flatten(1).float() for a in (reference.images, known)
    )
    nearest = torch.cdist(images, others).argmin(dim=1).numpy()
    return 100 * float((digits[nearest] == reference.targets).mean())


def main() -> int:
    """Measure, and print a table of each."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, default="data", help="folder of the data set")
    args = parser.parse_args()
    reference = public_test_set(MNIST, args.data_dir)
    batches = batches_of(reference, torch.device("cpu"))
    print("run        32 bits, %  8 bits, %  lost, points  other answers  page, MB")
    for folder in find_own_runs(RUNS):
        measured = measure_run(folder, reference, batches, Fraction(90))
        document = describe_playground(measured, reference, batches, args.data_dir)
        # As JSON has it: what is rendered is what was read from a file.
        page = render_playground(json.loads(json.dumps(document)), checksum="")
        whole, quantized = document["float_network"], document["quantized_network"]
        print(
            f"{folder.name:9}  {whole['accuracy']:10.2f}  {quantized['accuracy']:9.2f}  "
            f"{whole['accuracy'] - quantized['accuracy']:12.2f}  "
            f"{quantized['other_answers']:13}  {len(page.encode()) / 1e6:8.2f}"
        )
    print("\nof each digit  test images with a nearest one of their digit, %")
    for per_digit in SAMPLES:
        share = share_of_true_neighbours(reference, args.data_dir, per_digit)
        print(f"{per_digit:13}  {share:.1f}")
    return ALL_PASSED


if __name__ == "__main__":
    run_script(main)
