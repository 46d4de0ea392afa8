"""The products are those of float32; the number of threads is the fastest one, by a fake clock."""

import pytest
import torch

from common.layers import is_independent_of_threads
from common.models import MNISTClassifier
from common.support import processor
from common.support.processor import Threads, has_onednn


class Machine:
    """Takes for each step what its number of threads takes, in seconds."""

    def __init__(self, monkeypatch, cores):
        self.now, self.number = 0.0, cores
        self.seconds = dict.fromkeys((1, 2, 4, 8), 1.0)
        monkeypatch.setattr(processor.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
        monkeypatch.setattr(torch, "set_num_threads", self.set)

    def set(self, number):
        self.number = number

    def steps(self, threads, count):
        """Do steps, and return how many of them each number of threads did."""
        done = dict.fromkeys(self.seconds, 0)
        for _ in range(count):
            done[self.number] += 1
            self.now += self.seconds[self.number]
            threads()
        return done


@pytest.fixture
def machine(monkeypatch):
    return lambda cores: Machine(monkeypatch, cores)


def test_fastest_number_is_taken_and_more_are_not_tried(machine):
    eight = machine(8)
    eight.seconds = {1: 4.0, 2: 3.0, 4: 5.0, 8: 60.0}
    done = eight.steps(Threads(None, adapt=True), 900)
    assert done[2] > 800
    assert done[8] <= 1
    assert done[4] <= 24


def test_load_that_comes_and_goes_is_followed(machine):
    two = machine(2)
    two.seconds = {1: 4.0, 2: 3.0}
    threads = Threads(None, adapt=True)
    assert two.steps(threads, 500)[2] > 450
    two.seconds = {1: 4.0, 2: 20.0}
    assert two.steps(threads, 500)[1] > 430
    two.seconds = {1: 4.0, 2: 3.0}
    two.steps(threads, 1000)
    assert two.steps(threads, 500)[2] > 450


def test_one_slow_step_changes_nothing(machine):
    two = machine(2)
    two.seconds = {1: 4.0, 2: 3.0}
    threads = Threads(None, adapt=True)
    two.steps(threads, 200)
    two.now += 1000  # an epoch has ended, and the network was validated
    assert two.steps(threads, 300)[2] == 300


@pytest.mark.parametrize(
    ("number", "adapt", "found"), [(3, True, 3), (3, False, 3), (None, False, 8)]
)
def test_number_that_is_given_or_needed_stays_and_is_undone(machine, number, adapt, found):
    eight = machine(8)
    eight.seconds[3] = 1.0
    threads = Threads(number, adapt)
    assert eight.steps(threads, 100)[found] == 100
    threads.restore()
    assert eight.number == 8


@pytest.mark.parametrize(
    ("variable", "value", "instructions"),
    [
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "AVX2"),
        ("DNNL_MAX_CPU_ISA", "avx2_vnni", "AVX2"),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE", "AVX512"),
        ("ONEDNN_MAX_CPU_ISA", "ALL", "AVX512"),
        ("OTHER", "", "AVX512"),
    ],
)
def test_arithmetic_is_named_by_the_instructions(monkeypatch, variable, value, instructions):
    monkeypatch.setattr(processor, "has_onednn", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: True)
    monkeypatch.setenv(variable, value)
    vectors = torch.backends.cpu.get_cpu_capability()
    assert processor.arithmetic() == f"oneDNN with {instructions}, torch with {vectors}"


def test_rounded_products_are_told_whatever_rounds_them():
    """On processors with AMX the setting rounds, and on others it does nothing."""
    assert not processor.rounds_products()
    torch.set_float32_matmul_precision("medium")
    try:
        fine = torch.full((64, 512), processor._FINE)
        rounds = not torch.equal(fine @ torch.eye(512), fine)
        assert processor.arithmetic().endswith(", products rounded") == rounds
        assert is_independent_of_threads(MNISTClassifier(), 64) == (has_onednn() and not rounds)
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("by_onednn", [True, False])
def test_products_of_bfloat16_count_as_rounded(monkeypatch, by_onednn):
    def rounded(x, weight):
        return (x.bfloat16() @ weight.bfloat16().t()).float()

    monkeypatch.setattr(processor, "has_onednn", lambda: by_onednn)
    monkeypatch.setattr(processor, "multiply", rounded)
    assert processor.rounds_products() == by_onednn
    assert processor.arithmetic().endswith(", products rounded") == by_onednn


def test_other_processors_multiply_as_torch_does(monkeypatch):
    monkeypatch.setattr(processor, "has_onednn", lambda: False)
    assert processor.arithmetic().endswith(f"torch with {torch.backends.cpu.get_cpu_capability()}")
