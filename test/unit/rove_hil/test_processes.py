"""Child processes: real ones, ended in every way they can be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rove_hil.session.processes import Command, Processes, tail

DEADLINE_S = 15.0
QUICK = ((signal.SIGINT, 0.5), (signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def python(name: str, code: str, **more: object) -> Command:
    return Command(name, [sys.executable, "-S", "-u", "-c", textwrap.dedent(code)], **more)  # type: ignore[arg-type]


SLEEPER = "import time\nprint('up')\ntime.sleep(60)"
# Says `up`, notes each signal in its log and ends on the one given.
STUBBORN = """
import signal, sys, time
def note(number, _):
    print(signal.Signals(number).name)
    if number == {last}: sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, note)
print("up")
while True: time.sleep(1)
"""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def test_output_goes_to_a_log_of_its_own(logs: Path) -> None:
    with Processes(logs) as processes:
        processes.start(python("talker", "import sys\nprint('out')\nprint('err', file=sys.stderr)"))
        until(lambda: not processes.running())
        assert (logs / "talker.log").read_text(encoding="utf-8") == "out\nerr\n"
        assert tail(processes.log("talker"), lines=1) == "err"


def test_a_clean_end_is_reported_once_and_not_restarted(logs: Path) -> None:
    with Processes(logs) as processes:
        processes.start(python("done", "pass", max_restarts=3))
        until(lambda: not processes.running())
        (ended,) = processes.poll()
        assert (ended.name, ended.code, ended.restarted) == ("done", 0, False)
        assert processes.poll() == []


def test_a_failure_is_restarted_until_the_limit(logs: Path) -> None:
    codes = []
    with Processes(logs) as processes:
        processes.start(python("bad", "import sys\nsys.exit(3)", max_restarts=2))

        def over() -> bool:
            codes.extend((ended.code, ended.restarted) for ended in processes.poll())
            return len(codes) == 3

        until(over)
    assert codes == [(3, True), (3, True), (3, False)]


def test_a_killed_child_says_by_what(logs: Path) -> None:
    with Processes(logs) as processes:
        processes.start(python("victim", SLEEPER))
        os.kill(processes.pid("victim"), signal.SIGKILL)
        until(lambda: not processes.running())
        (ended,) = processes.poll()
        assert ended.how == "killed by SIGKILL"


@pytest.mark.parametrize(
    ("last", "heard"),
    [(signal.SIGINT, ["SIGINT"]), (signal.SIGTERM, ["SIGINT", "SIGTERM"]), (0, ["SIGINT", "SIGTERM"])],
)
def test_ending_gets_more_insistent(logs: Path, last: int, heard: list[str]) -> None:
    with Processes(logs, QUICK) as processes:
        processes.start(python("stubborn", STUBBORN.format(last=int(last))))
        log = processes.log("stubborn")
        until(lambda: "up" in log.read_text(encoding="utf-8"))
        pid = processes.pid("stubborn")
    assert not alive(pid)
    assert log.read_text(encoding="utf-8").split() == ["up", *heard]


def test_grandchildren_end_too(logs: Path) -> None:
    with Processes(logs, QUICK) as processes:
        processes.start(python("parent", f"import subprocess, sys\n{GRANDCHILD}\nchild.wait()"))
        log = processes.log("parent")
        until(lambda: log.read_text(encoding="utf-8").endswith("\n"))
        grandchild = int(log.read_text(encoding="utf-8"))
        assert alive(grandchild)
    until(lambda: not alive(grandchild))


GRANDCHILD = "child = subprocess.Popen(['sleep', '60']); print(child.pid)"


def test_an_error_in_the_middle_ends_them(logs: Path) -> None:
    def fail() -> int:
        with Processes(logs, QUICK) as processes:
            processes.start(python("sleeper", SLEEPER))
            pids.append(processes.pid("sleeper"))
            raise RuntimeError("something else went wrong")

    pids: list[int] = []
    with pytest.raises(RuntimeError):
        fail()
    assert not alive(pids[0])


@pytest.mark.parametrize("last", [signal.SIGTERM, 0], ids=["ends on SIGTERM", "ends on nothing"])
def test_nothing_is_left_when_the_parent_is_killed(logs: Path, last: int) -> None:
    parent = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        import rove_hil.session.processes as module
        module.ORPHAN_S = 1
        with module.Processes(Path(sys.argv[1])) as processes:
            processes.start(module.Command("child", [sys.executable, "-S", "-u", "-c", sys.argv[2]]))
            print(processes.pid("child"), flush=True)
            time.sleep(60)
    """)
    code = STUBBORN.format(last=int(last))
    argv = [sys.executable, "-c", parent, str(logs), code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        until(lambda: "up" in tail(logs / "child.log"))
        process.kill()
    until(lambda: not alive(child))
    assert "SIGTERM" in tail(logs / "child.log")
