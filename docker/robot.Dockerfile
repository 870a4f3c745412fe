# The robot's computer: ROS 2 Jazzy, the CUDA runtime, ONNX Runtime for the GPU. No simulation, no ros-* wheels.
#
#   docker build -f docker/robot.Dockerfile -t rove-robot .
#   docker compose -f docker/compose.yaml run --rm robot rove doctor --for robot
#
# onnxruntime-gpu of the lock is built for CUDA 13 and cuDNN 9; the host needs an NVIDIA driver of the 580 series or
# later and the NVIDIA container toolkit. Both images are Ubuntu 24.04, so the libraries can be copied as they are.
FROM nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04 AS cuda


FROM ros:jazzy-ros-base-noble AS build

RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
# Sees the image's rclpy and message packages; what is pinned here lies over what the image has.
RUN python3 -m venv --system-site-packages /opt/rove/venv
COPY requirements requirements
RUN /opt/rove/venv/bin/pip install --no-cache-dir -r requirements/robot.txt

COPY package.xml setup.py setup.cfg pyproject.toml ./
COPY resource resource
COPY shims shims
COPY launch launch
COPY rove_core rove_core
COPY rove_hil rove_hil
COPY rove_inference rove_inference
COPY rove_recorder rove_recorder
COPY ros2_ws/src/rove_msgs ros2_ws/src/rove_msgs
COPY ros2_ws/src/rove_description ros2_ws/src/rove_description
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# With the environment's Python, so that the executables start in it and find the pinned packages.
RUN source /opt/ros/jazzy/setup.bash \
    && source /opt/rove/venv/bin/activate \
    && python -m colcon build --base-paths . ros2_ws/src --merge-install \
        --build-base /tmp/build --install-base /opt/rove/install


FROM ros:jazzy-ros-base-noble

COPY --from=cuda /usr/local/cuda-13.0 /usr/local/cuda-13.0
COPY --from=cuda /usr/lib/x86_64-linux-gnu/libcudnn* /usr/lib/x86_64-linux-gnu/
# The image comes with a user `ubuntu` of uid 1000; a robot's recordings should not belong to a stranger of that name.
RUN echo /usr/local/cuda-13.0/lib64 >/etc/ld.so.conf.d/cuda.conf \
    && ldconfig \
    && userdel --remove ubuntu \
    && useradd --create-home --uid 1000 rove \
    && install --directory --owner=rove --group=rove /runs

COPY --from=build /opt/rove /opt/rove
COPY docker/robot_entrypoint.sh /opt/rove/entrypoint.sh

# Which parts of the driver the NVIDIA container toolkit brings in: CUDA, and nvidia-smi for `rove doctor`.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

USER 1000
WORKDIR /home/rove
VOLUME /runs
ENTRYPOINT ["/opt/rove/entrypoint.sh"]

HEALTHCHECK --interval=1m --timeout=30s --start-period=20s --retries=2 \
    CMD ["/opt/rove/entrypoint.sh", "rove", "doctor", "--for", "robot"]

STOPSIGNAL SIGINT
CMD ["ros2", "launch", "rove_hil", "deploy.launch.py"]
