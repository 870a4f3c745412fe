#!/bin/sh
# Goes through the simulation image's steps without a container engine: the sources that the image would get, in a
# clean folder, with a clean environment. What it cannot rehearse is the base image and the packages from apt.
#
#   sh docker/rehearse.sh [FOLDER]     about two minutes; FOLDER is made and kept, without it everything is removed
set -eu

cd "$(dirname "$0")/.."
if [ $# -gt 0 ]; then
    work=$1
    mkdir "$work"
    work=$(cd "$work" && pwd)
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

# The sources, as committed: exactly the paths that the Dockerfile copies.
mkdir "$work/src"
sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' docker/sim.Dockerfile | tr ' ' '\n' | sort -u |
    xargs git archive HEAD | tar -x -C "$work/src"

# Nothing of the caller's shell but where packages come from.
clean() {
    # shellcheck disable=SC2046 # one assignment per word
    env -i $(env | grep -E '^(PIP_|HTTPS?_PROXY=|https?_proxy=|no_proxy=|SSL_CERT_FILE=)') \
        HOME="$work" LANG=C.UTF-8 PATH="$1" sh -c "$2"
}

for step in packages messages stack; do
    echo "== install_sim.sh $step"
    clean "$PATH" "cd '$work/src' && sh docker/install_sim.sh $step '$work/rove'"
done

echo "== rove doctor, outside the sources"
rm -rf "$work/src"
clean "$work/rove/venv/bin:/usr/bin:/bin" "cd '$work' && rove --version && rove doctor --for sim"
clean "$work/rove/venv/bin:/usr/bin:/bin" "cd '$work' && python -c '
import rove_core.joint_space, rove_description, rove_sim
space = rove_core.joint_space.JointSpace.load(\"iron_r01\")
print(space.dim, \"joints,\", rove_description.model_path(\"iron_r01\", \"mjcf\"))'"
echo "rehearsed"
