"""The tasks that the simulated robot can be given."""

from __future__ import annotations

from rove_core.errors import ConfigError, nearest
from rove_sim.tasks.task import Task
from rove_sim.tasks.toaster import Toaster
from rove_sim.tasks.whiteboard import Whiteboard

TASKS: dict[str, type[Task]] = {task.NAME: task for task in (Whiteboard, Toaster)}


def make_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in TASKS:
        raise ConfigError(f"no task '{name}'", nearest(name, TASKS))
    return TASKS[name]()


__all__ = ["TASKS", "Task", "make_task"]
