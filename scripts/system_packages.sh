#!/bin/sh
# What has to come from the system and not from pip: installed with apt where we may, otherwise named.
#
#   system_packages.sh python   print a Python that is new enough, or say that there is none
#   system_packages.sh build    a compiler, venv and Python's headers, for building rove_msgs
#   system_packages.sh gl       OpenGL without a display, for the simulated cameras
set -eu

VENV=${VENV:-.venv}
# libegl1 brings the dispatcher, libegl-mesa0 the software driver's entry, libgl1-mesa-dri the software renderer
# itself, libopengl0 the functions that PyOpenGL looks up. OSMesa is not needed.
GL_PACKAGES="libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0"

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>&1 || echo "no python3")
    fail "Python 3.11 to 3.14 is needed, found: $found" \
        "install one (Debian 12: apt-get install python3; older Ubuntu: python3.11 from the deadsnakes archive or pyenv)"
}

# install PACKAGE...: with apt as root, otherwise say what to run.
install() {
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        printf '      apt-get install %s\n' "$*"
        log=$(mktemp)
        if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"; } \
            </dev/null >"$log" 2>&1; then
            cat "$log" >&2
            rm -f "$log"
            fail "apt-get could not install $*" "install them by hand, then run make again"
        fi
        rm -f "$log"
    else
        fail "missing system packages: $*" "sudo apt-get install $* (or what your distribution calls them), then run make again"
    fi
}

check_build() {
    python=$(find_python)
    command -v c++ >/dev/null || install g++
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module" "install the venv package of exactly this Python"
    header='import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))'
    "$python" -c "$header" || install python3-dev
    "$python" -c "$header" || fail "$python has no headers (Python.h)" "install the -dev package of exactly this Python"
}

check_gl() {
    "$VENV/bin/rove" doctor --only offscreen-gl >/dev/null 2>&1 && return
    # shellcheck disable=SC2086 # a list of packages
    install $GL_PACKAGES
    "$VENV/bin/rove" doctor --only offscreen-gl || exit 1
}

case "${1:-}" in
    python) find_python ;;
    build) check_build ;;
    gl) check_gl ;;
    *) fail "unknown step '${1:-}'" "python, build or gl" ;;
esac
