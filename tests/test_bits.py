"""Which bits a training ends in depends on the instructions, and on no number of threads."""

import os
import subprocess
import sys

import pytest
import torch

from common.support.processor import has_onednn
from tests.conftest import REPO

# Nearly all x86-64 processors of the last ten years have the first.
HELD_TO = {
    "oneDNN with AVX2, torch with AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
    },
    "oneDNN with AVX512, torch with AVX512": {},
}


@pytest.mark.long
@pytest.mark.skipif(not has_onednn(), reason="no x86-64 processor")
@pytest.mark.parametrize("arithmetic", HELD_TO)
def test_number_of_threads_changes_no_bit(arithmetic, data_dir):
    if "AVX512" in arithmetic and not torch.cpu._is_avx512_supported():
        pytest.skip("the processor has no AVX-512")
    environment = {**os.environ, **HELD_TO[arithmetic]}
    completed = subprocess.run(
        [sys.executable, "-m", "tests.training_bits", data_dir],
        cwd=REPO,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stderr
    said, *cases = completed.stdout.splitlines()
    assert said == arithmetic
    assert len(cases) == 7
    assert all(len(set(case.split())) == 1 for case in cases), completed.stdout
