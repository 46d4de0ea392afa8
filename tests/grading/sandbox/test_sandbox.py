"""What a submission that has its process in its hands can do: end its own row, and nothing else."""

import json
import os
import re
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from common.support.errors import SubmissionError, UserError
from evaluations.rows import ClassAnswers
from grading.sandbox.confinement.limits import _user_of
from grading.sandbox.confinement.system_calls import can_be_filtered
from grading.sandbox.task import Task
from tests.conftest import NEEDS_BUBBLEWRAP
from tests.grading.sandbox.readings import NUM_IMAGES, answers_of, measure, open_file, start

ISOLATIONS = ["process", pytest.param("bubblewrap", marks=NEEDS_BUBBLEWRAP)]


@pytest.fixture(scope="module", params=ISOLATIONS)
def abused(request, tmp_path_factory):
    """Everything that can be tried, each between honest submissions, in one server.

    But for what lasts until its time is over: see ``test_fairness``.
    """
    place = tmp_path_factory.mktemp(request.param)
    sibling, written = place / "sibling.pth", place / "written"
    sibling.write_bytes(b"another's work")
    place.chmod(0o777)
    (place / "empty").mkdir()
    (place / "victim").write_bytes(b"anyone may write here")
    (place / "victim").chmod(0o666)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    tried = {
        "fork": ["fork"],
        "threads": ["start_threads"],
        "memory": ["fill_memory"],
        "output": ["fill_output"],
        "write": ["write_file", str(written)],
        "descriptors": ["keep_inherited_descriptors"],
        "self": ["kill", "self"],
        "unnamed": ["kill", "self", 40],
        "group": ["kill", "group"],
        "parent": ["kill", "parent"],
        "all": ["kill", "all"],
        "crash": ["crash"],
        "leave": ["leave", 0],
        "leave3": ["leave", 3],
        "read": ["read_file", str(sibling)],
        "passwords": ["read_file", "/etc/passwd"],
        "connect": ["connect", listener.getsockname()[1]],
        "environment": ["tell_environment"],
        "user": ["tell_user"],
        "limits": ["raise_limits"],
        "paths": ["name_paths", str(place)],
    }
    if os.getuid() != 0 and request.param == "process" and not can_be_filtered():
        del tried["all"]  # it would end the tests, too
    commands = []
    for command in tried.values():
        commands += [command, ["nothing"]]
    os.environ["CANARY"] = "a secret of the parent"
    try:
        with start(request.param) as sandbox:
            server = sandbox.process.pid
            outcomes = measure(sandbox, place, commands)
            survived = sandbox.process.pid == server
    finally:
        del os.environ["CANARY"]
    yield SimpleNamespace(
        outcomes=dict(zip(tried, outcomes[::2], strict=True)),
        between=outcomes[1::2],
        survived=survived,
        listener=listener,
        written=written,
    )
    listener.close()


REASONS = {
    "fork": r"tried to start a process or thread; none is allowed \(limit 0\)",
    "threads": r"cannot be read|start a process or thread",
    "memory": r"needs more than the 0.5 GiB of memory allowed \(--memory\): hand in predictions",
    "output": r"ended without an answer",
    "write": r"tried to open a file",
    "self": r"crashed the process that read it \(SIGKILL\)",
    "unnamed": r"crashed the process that read it \(signal 40\)",
    "crash": r"crashed the process that read it \(SIGSEGV\)",
    "leave": r"ended without an answer",
    "leave3": r"ended the process that read it \(exit status 3\)",
    "read": r"tried to open a file or a connection; none is allowed \(limit 0\)",
    "passwords": r"tried to open a file",
    "connect": r"tried to open a file or a connection",
    "limits": r"the file cannot be read",
}


@pytest.mark.parametrize("name", REASONS)
def test_abuse_costs_its_own_row_and_says_which_limit(abused, name):
    outcome = abused.outcomes[name]
    assert isinstance(outcome, SubmissionError)
    assert re.search(REASONS[name], str(outcome)), str(outcome)


@pytest.mark.skipif(not can_be_filtered(), reason="this kernel cannot filter system calls")
def test_no_system_call_that_names_a_path_or_another_process_goes_through(abused):
    assert str(abused.outcomes["paths"]) == "went through: none"
    assert (abused.written.parent / "victim").read_bytes() == b"anyone may write here"


def test_the_others_get_their_answers(abused):
    for outcome in [*abused.between, abused.outcomes["descriptors"]]:
        assert isinstance(outcome, ClassAnswers), outcome
        assert (outcome.classes == 0).all()
        assert len(outcome.classes) == NUM_IMAGES


@pytest.mark.skipif(os.getuid() != 0, reason="the server restarts where a signal reaches it")
def test_signals_of_another_user_do_not_reach_the_server(abused):
    assert abused.survived
    assert "Operation not permitted" in str(abused.outcomes["parent"])


def test_nothing_leaked(abused):
    assert not abused.written.exists()
    assert "secret" not in str(abused.outcomes["environment"])
    with pytest.raises(BlockingIOError):
        abused.listener.accept()


@pytest.mark.skipif(os.getuid() != 0, reason="only root changes to another user")
def test_root_is_given_up(abused):
    uid, groups = re.fullmatch(r"uid (\d+), groups (.*)", str(abused.outcomes["user"])).groups()
    assert int(uid) >= 60_000
    assert groups == "[]"


def test_users_of_two_servers_and_of_their_slots_differ():
    users = {_user_of(server, slot) for server in (1000, 1001) for slot in range(3)}
    assert len(users) == 6


@pytest.mark.long
@pytest.mark.skipif(os.getuid() != 0, reason="only root changes to another user")
def test_two_graders_at_once_share_no_user(tmp_path):
    """A submission could otherwise end the process of another one."""
    with start("process", jobs=1) as one, start("process", jobs=1) as other:
        users = [str(measure(sandbox, tmp_path, [["tell_user"]])[0]) for sandbox in (one, other)]
    assert users[0] != users[1]


def test_who_brings_down_the_server_pays_alone(tmp_path, monkeypatch):
    """The server dies whenever a certain submission is under way."""
    (tmp_path / "x").write_text('["nothing"]')
    names = ["a.pth", "b.pth", "bomb.pth", "c.pth", "d.pth"]
    send = Task.send

    def opened():
        for index, name in enumerate(names):
            yield index, open_file(tmp_path / "x", name)

    with start("process") as sandbox:

        def send_and_kill(task, control, slot):
            send(task, control, slot)
            if task.item[1][0].name == "bomb.pth":
                sandbox.process.kill()

        monkeypatch.setattr(Task, "send", send_and_kill)
        outcomes = {index: answers_of(outcome) for index, outcome in sandbox.measure(opened())}
    assert len(outcomes) == len(names)
    assert "brought down the process" in str(outcomes.pop(2))
    assert all(isinstance(outcome, ClassAnswers) for outcome in outcomes.values())


def test_nobody_outlives_the_run(tmp_path):
    """Not even who asked the system to be left alone, when the grading is interrupted."""
    commands = {"stays": ["outlive_the_server"], "ends": ["nothing"]}
    for name, command in commands.items():
        (tmp_path / name).write_text(json.dumps(command))

    def opened():
        for index, name in enumerate(commands):
            path = tmp_path / name
            yield index, open_file(path)

    with start("process") as sandbox:
        outcomes = sandbox.measure(opened())
        assert next(outcomes)[0] == 1
        server = sandbox.process.pid
        (child,) = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        time.sleep(0.3)  # for the child to have asked
        outcomes.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()


def test_isolation_that_does_not_work_is_a_usage_error_and_auto_takes_another(
    monkeypatch, tmp_path
):
    """And no descriptor of all that was started is left open."""
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--isolation bubblewrap does not work here"):
        start("bubblewrap")
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho bwrap: no permission >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(UserError, match="no permission"):
        start("bubblewrap")
    with start("auto") as sandbox:
        assert sandbox.isolation == "process"
        assert "no permission" in sandbox.warning
        measure(sandbox, tmp_path, [["nothing"], ["leave", 3], ["nothing"]])
    assert len(os.listdir("/proc/self/fd")) == before
