"""What this machine has and lacks: one small function per question, all of them read-only.

Nothing here imports ROS: whether rclpy is there is found out without loading it.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from rove_hil.inputs.device_list import list_devices
from rove_hil.inputs.evdev import UDEV_HINT
from rove_hil.session.shared_memory import SHARED_MEMORY, orphans

MB = 1_000_000

# A minute of three JPEG cameras, joints and commands is some tens of MB.
DISK_ERROR_MB, DISK_WARNING_MB = 200, 5_000
# Every participant that takes images has a segment of 32 MB (fastdds_profile.xml); Docker's default is 64 MB in all.
SHM_WARNING_MB = 512
# A segment is locked by its owner soon after it is made; a younger one proves nothing.
SHM_GRACE_S = 10.0
# Fast DDS takes ports 7400 + 250 * domain upwards; from 102 on they lie in the range that Linux gives out to others.
LAST_SAFE_DOMAIN, LAST_DOMAIN = 101, 232
GL_TIMEOUT_S = 60.0

SET_UP = "run `make setup`; on a robot source the setup.bash of its ROS 2 and of this workspace"

# In a process of its own: a broken driver may abort the interpreter.
GL_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light pos='0 0 3'/><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 24, 32)
renderer.update_scene(data)
assert renderer.render().max() > 0, "the picture is black"
from OpenGL import GL
print(GL.glGetString(GL.GL_RENDERER).decode())
"""


class Status(StrEnum):
    """How bad it is. ERROR stops the default run; WARNING costs something that the message names."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question. `hint` says how to get what is missing; empty when nothing is."""

    status: Status
    message: str
    hint: str = ""


def python_version() -> Finding:
    """There are ROS wheels for this Python; setup.py refuses an older one."""
    text = f"Python {platform.python_version()} at {sys.prefix}"
    if sys.version_info >= (3, 15):
        return Finding(Status.WARNING, f"{text}: the ros-* wheels exist up to 3.14", "use Python 3.11 to 3.14")
    return Finding(Status.OK, text)


def python_packages() -> Finding:
    """Everything that setup.py asks for is installed."""
    try:
        wanted = requires("rove_hil") or []
    except PackageNotFoundError:
        return Finding(Status.ERROR, "rove_hil is not installed in this Python", SET_UP)
    names = [match[0] for line in wanted if "extra ==" not in line and (match := re.match(r"[\w.-]+", line))]
    missing = [name for name in names if _version(name) is None]
    if missing:
        return Finding(Status.ERROR, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Finding(Status.OK, f"{len(names)} packages")


def rclpy() -> Finding:
    """ROS 2 for Python can be found."""
    if find_spec("rclpy") is None:
        return Finding(Status.ERROR, "rclpy cannot be imported", SET_UP)
    wheels = _version("ros-rclpy")
    return Finding(Status.OK, f"rclpy {wheels} from wheels" if wheels else f"rclpy of {_distribution()}")


def mixed_ros() -> Finding:
    """Wheels and a sourced ROS 2 do not meet in one shell: each would load libraries of the other."""
    sourced = [name for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if "/opt/ros/" in os.environ.get(name, "")]
    if _version("ros-rclpy") and sourced:
        hint = "use a shell where setup.bash was not sourced, or install without the ros-* wheels"
        return Finding(Status.ERROR, f"ROS 2 wheels, and another ROS 2 in {' and '.join(sourced)}", hint)
    return Finding(Status.OK, "one ROS 2 in this shell")


def middleware() -> Finding:
    """Fast DDS is there and chosen."""
    chosen = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if chosen != "rmw_fastrtps_cpp":
        message = f"RMW_IMPLEMENTATION={chosen}: the shared-memory profile for images only works with Fast DDS"
        return Finding(Status.WARNING, message, "unset RMW_IMPLEMENTATION")
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(":"), sys.prefix]
    if not any((Path(prefix) / "lib/librmw_fastrtps_cpp.so").is_file() for prefix in prefixes if prefix):
        hint = "run `make setup`; on a robot: apt-get install ros-$ROS_DISTRO-rmw-fastrtps-cpp"
        return Finding(Status.ERROR, "librmw_fastrtps_cpp.so not found", hint)
    return Finding(Status.OK, chosen)


def messages() -> Finding:
    """rove_msgs is built."""
    if find_spec("rove_msgs") is None:
        return Finding(Status.ERROR, "rove_msgs is not built", SET_UP)
    return Finding(Status.OK, f"rove_msgs {_version('rove-msgs') or 'of this workspace'}")


def onnx_runtime() -> Finding:
    """Exactly one build of ONNX Runtime, and the GPU's works when it is the GPU build."""
    cpu, gpu = _version("onnxruntime"), _version("onnxruntime-gpu")
    if cpu and gpu:
        hint = f"pip uninstall -y onnxruntime onnxruntime-gpu; pip install onnxruntime=={cpu} (or onnxruntime-gpu)"
        return Finding(Status.ERROR, "onnxruntime and onnxruntime-gpu overwrite each other: keep one", hint)
    if not (cpu or gpu):
        return Finding(Status.ERROR, "no ONNX Runtime", "pip install onnxruntime, or onnxruntime-gpu on a robot")
    if cpu:
        return Finding(Status.OK, f"onnxruntime {cpu} (CPU)")
    import onnxruntime  # slow to load, and only to be asked here

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers() or not shutil.which("nvidia-smi"):
        hint = (
            "start the container with the NVIDIA runtime, or install the CUDA runtime and cuDNN of this onnxruntime-gpu"
        )
        return Finding(Status.WARNING, f"onnxruntime-gpu {gpu} finds no CUDA device: policies run on the CPU", hint)
    return Finding(Status.OK, f"onnxruntime-gpu {gpu} with CUDA")


def offscreen_gl() -> Finding:
    """MuJoCo renders without a display."""
    environment = {"MUJOCO_GL": "egl", **os.environ}
    command = [sys.executable, "-c", GL_PROBE]
    try:
        probe = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=GL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(
            Status.ERROR, f"the OpenGL driver did not answer in {GL_TIMEOUT_S:.0f} s", "try MUJOCO_GL=osmesa"
        )
    if probe.returncode != 0:
        reason = (probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"])[-1]
        hint = "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0"
        return Finding(Status.ERROR, f"no off-screen rendering: {reason[:150]}", hint)
    return Finding(Status.OK, f"{environment['MUJOCO_GL']}, {probe.stdout.strip()}")


def dds_profile() -> Finding:
    """Images fit through Fast DDS."""
    path = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE")
    if path is None:
        ours = Path(str(find_spec("rove_core.ros").origin)).with_name("fastdds_profile.xml")  # type: ignore[union-attr]
        message = "FASTDDS_DEFAULT_PROFILES_FILE is not set: `rove deploy` sets it, a node started by hand loses images"
        return Finding(Status.WARNING, message, f"export FASTDDS_DEFAULT_PROFILES_FILE={ours}")
    if not Path(path).is_file():
        message = f"FASTDDS_DEFAULT_PROFILES_FILE={path} does not exist: images are lost"
        return Finding(Status.ERROR, message, "unset it or correct it")
    return Finding(Status.OK, path)


def shared_memory() -> Finding:
    """The shared memory has room for the segments of Fast DDS and no remains of killed processes."""
    if not os.access(SHARED_MEMORY, os.W_OK):
        return Finding(Status.ERROR, f"{SHARED_MEMORY} is not writable", "in a container: --ipc=host, or a tmpfs there")
    free_mb = shutil.disk_usage(SHARED_MEMORY).free // MB
    if free_mb < SHM_WARNING_MB:
        hint = "in a container: --ipc=host or --shm-size=1g"
        return Finding(Status.WARNING, f"{free_mb} MB free in {SHARED_MEMORY}: camera images may be lost", hint)
    left = orphans(until_s=time.time() - SHM_GRACE_S)
    if left:
        size_mb = sum(path.stat().st_size for path in left if path.exists()) / MB
        message = f"{len(left) // 2} segments of killed processes in {SHARED_MEMORY} ({size_mb:.1f} MB)"
        return Finding(Status.WARNING, message, "rove doctor --clean removes them")
    return Finding(Status.OK, f"{free_mb} MB free in {SHARED_MEMORY}")


def domain() -> Finding:
    """ROS_DOMAIN_ID makes sense."""
    text = os.environ.get("ROS_DOMAIN_ID", "0")
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    if not text.isdigit() or int(text) > LAST_DOMAIN:
        hint = f"export ROS_DOMAIN_ID=0 .. {LAST_SAFE_DOMAIN}"
        return Finding(Status.ERROR, f"ROS_DOMAIN_ID={text} is no domain", hint)
    if int(text) > LAST_SAFE_DOMAIN:
        hint = f"export ROS_DOMAIN_ID=0 .. {LAST_SAFE_DOMAIN}"
        return Finding(Status.WARNING, f"the ports of ROS_DOMAIN_ID={text} may be taken by other programs", hint)
    return Finding(Status.OK, f"domain {text}, discovery {reach}")


def realtime() -> Finding:
    """The control loop may take real-time priority."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        hint = "'@realtime - rtprio 90' in /etc/security/limits.conf and join that group; in a container: cap SYS_NICE"
        return Finding(Status.WARNING, f"no real-time priority (limit {limit}): ticks may be late under load", hint)
    os.sched_setscheduler(0, policy, parameters)
    return Finding(Status.OK, "real-time priority permitted")


def input_devices() -> Finding:
    """Pedals can be read."""
    pedals = [device for device in list_devices() if "foot" in device.name.lower()]
    closed = [device for device in pedals if not device.readable]
    if closed:
        message = f"{closed[0].path} ('{closed[0].name}') is not readable: no pedal; the keyboard still works"
        return Finding(Status.WARNING, message, UDEV_HINT)
    return Finding(Status.OK, f"{len(pedals)} foot pedals readable" if pedals else "no foot pedal; keyboard only")


def disk() -> Finding:
    """There is room for episodes where we stand."""
    free_mb = shutil.disk_usage(Path.cwd()).free // MB
    if free_mb < DISK_WARNING_MB:
        status = Status.ERROR if free_mb < DISK_ERROR_MB else Status.WARNING
        return Finding(status, f"{free_mb} MB free in {Path.cwd()}", "make room, or record elsewhere with --out")
    return Finding(Status.OK, f"{free_mb // 1000} GB free in {Path.cwd()}")


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": python_version,
    "packages": python_packages,
    "rclpy": rclpy,
    "one-ros": mixed_ros,
    "middleware": middleware,
    "rove-msgs": messages,
    "onnxruntime": onnx_runtime,
    "offscreen-gl": offscreen_gl,
    "dds-profile": dds_profile,
    "shared-memory": shared_memory,
    "domain": domain,
    "realtime": realtime,
    "input-devices": input_devices,
    "disk": disk,
}
# A robot has its own cameras.
SIMULATION_ONLY = frozenset({"offscreen-gl"})


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _distribution() -> str:
    name = os.environ.get("ROS_DISTRO")
    return f"ROS 2 {name.capitalize()}" if name else "a ROS 2 that is not sourced (no ROS_DISTRO)"
