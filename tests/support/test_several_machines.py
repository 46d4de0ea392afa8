"""Two agents of torchrun, as on two machines: what becomes of both when a worker of one dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.checks.interruptions import outcome
from tests.conftest import REPO
from tests.processes import run_ranks


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_agents(folder, flags):
    """Start two agents with a worker each; each writes to a file of its own."""
    endpoint = f"127.0.0.1:{free_port()}"
    agents = []
    for number in range(2):
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2"]
        command += ["--nproc-per-node=1", "--max-restarts=3", "--rdzv-backend=c10d"]
        command += [f"--rdzv-endpoint={endpoint}", "--rdzv-id=two", f"--node-rank={number}"]
        with (folder / f"agent{number}.txt").open("w") as output:
            agents.append(
                subprocess.Popen(
                    [*command, REPO / "train_base.py", *flags],
                    cwd=folder,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    return agents


def wait_for(folder, beginning):
    """Return the number of the agent that has printed such a line."""
    for _ in range(1200):
        for number in range(2):
            lines = (folder / f"agent{number}.txt").read_text().splitlines()
            if any(line.startswith(beginning) for line in lines):
                return number
        time.sleep(0.1)
    raise AssertionError((folder / "agent0.txt").read_text())


def end_of(folder, agents):
    try:
        return [agent.wait(timeout=120) for agent in agents]
    finally:
        for number, agent in enumerate(agents):
            agent.kill()
            agent.wait()
            print((folder / f"agent{number}.txt").read_text())


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find a worker")
def test_killed_worker_of_the_second_agent_changes_nothing(few_digits, tmp_path):
    flags = (*few_digits, "--epochs", "8")  # so many that the kill comes before the last ends
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    killed.mkdir()
    ranks = run_ranks(REPO / "train_base.py", flags, undisturbed)
    assert [rank.returncode for rank in ranks] == [0, 0]
    agents = start_agents(killed, flags)
    healthy = wait_for(killed, "epoch 1/8")
    agent = agents[1 - healthy].pid
    (worker,) = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)
    assert end_of(killed, agents) == [0, 0]
    printed = "".join((killed / f"agent{number}.txt").read_text() for number in range(2))
    assert "Resumed after epoch " in printed
    assert outcome(killed / "runs/idx/base") == outcome(undisturbed / "runs/idx/base")
