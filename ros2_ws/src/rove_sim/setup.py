"""Metadata of rove_sim for pip and for colcon (ament_python)."""

from __future__ import annotations

import sys

from setuptools import Distribution, find_packages, setup

NAME = "rove_sim"
NODES = ("sim_node", "scripted_operator", "scripted_supervisor")

# colcon puts the executables under lib/rove_sim itself (setup.cfg), a pip wheel needs the shims: never both.
BUILDS_WHEEL = any(command in sys.argv for command in ("bdist_wheel", "editable_wheel"))


class RosDistribution(Distribution):
    """Editable wheels with data files: setuptools asks for `has_data` there, and only has `has_data_files`."""

    def has_data(self) -> bool:
        return bool(self.data_files)


setup(
    distclass=RosDistribution,
    name=NAME,
    version="0.1.0",
    description="A MuJoCo robot with the real robot's topics, two tasks, and a scripted operator and supervisor",
    maintainer="ROVE HIL maintainers",
    maintainer_email="maintainers@rove-hil.dev",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={"": ["py.typed", "**/*.npz", "**/*.md", "**/*.xml", "**/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *([(f"lib/{NAME}", [f"shims/{node}" for node in NODES])] if BUILDS_WHEEL else []),
    ],
    zip_safe=False,
    install_requires=[
        "mujoco",  # physics and rendering
        "msgpack",  # the operator's motion-capture wire
        "numpy",
        "pydantic",  # node parameters
        "pyzmq",  # the operator's motion-capture wire
        "rove_description",
        "rove_hil",
    ],
    entry_points={"console_scripts": [f"{node} = rove_sim.ros.{node}:main" for node in NODES]},
)
