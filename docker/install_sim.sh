#!/bin/sh
# The steps of docker/sim.Dockerfile, from the root of the sources:
#
#   install_sim.sh packages PREFIX   pinned packages into PREFIX/venv, build tools into PREFIX/build
#   install_sim.sh messages PREFIX   rove_msgs, built as a wheel
#   install_sim.sh stack PREFIX      this repository's packages, as wheels
set -eu

step=$1
prefix=$2
build="$prefix/build/bin/python"
run="$prefix/venv/bin/python"

pip() {
    python=$1
    shift
    "$python" -m pip --disable-pip-version-check --no-input -q "$@"
}

case "$step" in
    packages)
        python3 -m venv "$prefix/build"
        python3 -m venv "$prefix/venv"
        pip "$build" install --no-cache-dir -r requirements/build.txt
        pip "$run" install --no-cache-dir -r requirements/sim.txt
        ;;
    messages)
        PATH="$prefix/build/bin:$PATH" pip "$build" wheel --no-build-isolation --no-deps -w "$prefix/wheels" \
            ./ros2_ws/src/rove_msgs
        pip "$run" install --no-cache-dir --no-deps "$prefix"/wheels/rove_msgs-*.whl
        ;;
    stack)
        pip "$build" wheel --no-build-isolation --no-deps -w "$prefix/wheels" \
            . ./ros2_ws/src/rove_description ./ros2_ws/src/rove_sim
        pip "$run" install --no-cache-dir --no-deps "$prefix"/wheels/rove_hil-*.whl \
            "$prefix"/wheels/rove_description-*.whl "$prefix"/wheels/rove_sim-*.whl
        # Also finds out whether what was pinned fits together.
        pip "$run" check
        ;;
    *)
        echo "error: unknown step '$step': packages, messages or stack" >&2
        exit 1
        ;;
esac
