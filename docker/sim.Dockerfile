# The simulation, or any machine without ROS: plain Debian, ROS 2 as wheels.
#
#   docker build -f docker/sim.Dockerfile -t rove-sim .
#   docker run --rm --shm-size=1g -v "$PWD/runs:/runs" rove-sim
#
# What it installs stands in docker/install_sim.sh, so that `sh docker/rehearse.sh` can go through the same steps
# on a machine without a container engine.
FROM debian:bookworm-slim AS build

RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY docker/install_sim.sh docker/
# From what changes seldom to what changes often: an edit of the code installs nothing anew.
COPY requirements requirements
RUN sh docker/install_sim.sh packages /opt/rove
COPY ros2_ws/src/rove_msgs ros2_ws/src/rove_msgs
RUN sh docker/install_sim.sh messages /opt/rove
COPY setup.py setup.cfg package.xml pyproject.toml ./
COPY resource resource
COPY shims shims
COPY launch launch
COPY rove_core rove_core
COPY rove_hil rove_hil
COPY rove_inference rove_inference
COPY rove_recorder rove_recorder
COPY ros2_ws/src/rove_description ros2_ws/src/rove_description
COPY ros2_ws/src/rove_sim ros2_ws/src/rove_sim
RUN sh docker/install_sim.sh stack /opt/rove


FROM debian:bookworm-slim

# OpenGL without a display (software renderer) for the simulated cameras.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        libegl-mesa0 libegl1 libgl1-mesa-dri libopengl0 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 rove \
    && install --directory --owner=rove --group=rove /runs

COPY --from=build /opt/rove/venv /opt/rove/venv
COPY bundles /opt/rove/bundles

ENV PATH=/opt/rove/venv/bin:$PATH \
    AMENT_PREFIX_PATH=/opt/rove/venv \
    MUJOCO_GL=egl

USER 1000
WORKDIR /home/rove
VOLUME /runs

# Says in `docker inspect` what is missing: shared memory, rendering, disk.
HEALTHCHECK --interval=1m --timeout=60s --start-period=10s --retries=2 \
    CMD ["rove", "doctor", "--for", "sim"]

STOPSIGNAL SIGINT
CMD ["rove", "deploy", "--robot", "sim", "--task", "whiteboard", "--policy", "/opt/rove/bundles/whiteboard", \
     "--operator", "scripted:typical", "--episodes", "3", "--out", "/runs/demo", "--seed", "1", "--report"]
