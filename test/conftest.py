"""Fixtures that every tier may use."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# MuJoCo chooses how it draws when it is first imported, which any test may do; there is no display here.
os.environ.setdefault("MUJOCO_GL", "egl")

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("rove", deadline=None)
settings.load_profile("rove")

# Linux hands out the ports of higher domains to other programs (Fast DDS port formula).
LAST_DOMAIN = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make test-soak` sets."""
    parser.addoption("--kills", type=int, default=10, help="how often a recorder is killed (test_kill_sweep.py)")
    parser.addoption("--seed", type=int, default=1, help="of the moments at which it is killed")


class NodesAlone(LoadScopeScheduling):
    """`pytest -n`: tests with nodes and whole deployments run one after the other, when everything else is done."""

    def _split_scope(self, nodeid: str) -> str:
        return "alone" if nodeid.startswith(("test/integration/", "test/system/")) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> NodesAlone:
    """Instead of xdist's own."""
    config.option.loadscopereorder = False  # it would begin with what is to run last
    return NodesAlone(config, log)


@pytest.fixture
def domain_id(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A DDS domain that no other test on this host uses, set in the environment for child processes too.

    The domain is shared by the whole host, so it is claimed by a lock on a file and not by a number per test.
    """
    for domain in range(1, LAST_DOMAIN + 1):
        handle = os.open(Path(tempfile.gettempdir()) / f"rove-test-domain-{domain}.lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain
        os.close(handle)
        return
    pytest.fail("no free DDS domain on this host")
