"""What tests of the sandbox share: one that runs the commands of ``abusive_reader``."""

import json
import os

import numpy as np

from common.data.arrays import LabelledImages
from common.data.catalog import MNIST
from grading.preprocessing import Preprocessing
from grading.sandbox.client import Sandbox
from grading.sandbox.portable.process import CODE, REPOSITORY
from grading.sandbox.wire import OpenFile

NUM_IMAGES = 50
MEMORY = 512 * 2**20


def start(isolation, jobs=2, timeout=3, preprocessing=None):
    return Sandbox(
        LabelledImages(
            "", np.zeros((NUM_IMAGES, 28, 28), np.uint8), np.zeros(NUM_IMAGES, int), {}, MNIST
        ),
        isolation,
        memory=MEMORY,
        timeout=timeout,
        jobs=jobs,
        preprocessing=preprocessing or Preprocessing(MNIST.normalization),
        reader="tests.grading.sandbox.abusive_reader",
        folders=[*CODE, REPOSITORY / "tests"],
    )


def open_file(path, name="model.pth"):
    status = path.stat()
    return [OpenFile(name, os.open(path, os.O_RDONLY), status.st_size, status.st_ctime_ns)]


def measure(sandbox, folder, commands):
    """Return the outcome of each command, in their order."""

    def opened():
        for index, command in enumerate(commands):
            path = folder / f"{index}.json"
            path.write_text(json.dumps(command))
            yield index, open_file(path)

    outcomes = dict(sandbox.measure(opened()))
    assert sorted(outcomes) == list(range(len(commands)))
    return [answers_of(outcomes[index]) for index in range(len(commands))]


def answers_of(outcome):
    """Return the answers of an outcome without what was tried on the sample; or the error."""
    return outcome if isinstance(outcome, Exception) else outcome[0]
