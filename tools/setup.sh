#!/bin/sh
# Create .venv and install vultus with what its tests and its demo need.
set -eu
PYTHON="${PYTHON:-python3}"

command -v "$PYTHON" >/dev/null || { echo "setup: $PYTHON not found; install Python 3.10 or newer" >&2; exit 1; }
"$PYTHON" - <<'PY'
import sys
if sys.version_info < (3, 10):
    sys.exit(f"setup: Python 3.10 or newer is needed, {sys.version.split()[0]} was found; set PYTHON=python3.11")
PY

has_venv() { "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; }

if ! has_venv; then
    # Debian splits venv off its python3 package; python3.12-venv belongs to a python3.12 that is not the default one.
    package="python3-venv"
    [ "$PYTHON" = python3 ] || package="$(basename "$PYTHON")-venv"
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    if command -v apt-get >/dev/null && $as_root true 2>/dev/null; then
        echo "setup: the venv module is missing; installing the Debian package $package" >&2
        export DEBIAN_FRONTEND=noninteractive
        $as_root apt-get update -qq && $as_root apt-get install -y -qq "$package" >/dev/null || true
    fi
    has_venv || { echo "setup: the venv module is missing; run: sudo apt-get install $package" >&2; exit 1; }
fi

# Files that were touched and not changed, by a checkout or a restored cache, need no installation and no network.
wanted="$(cat pyproject.toml constraints.txt tools/setup.sh | cksum)"
if [ "$(cat .venv/.ready 2>/dev/null)" = "$wanted" ] && .venv/bin/vultus --help >/dev/null 2>&1; then
    touch .venv/.ready
    exit 0
fi
rm -f .venv/.ready

# An environment that was interrupted while it was made, or whose Python is gone, is made anew.
.venv/bin/python -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear .venv
echo "setup: installing into .venv what vultus, its tests and its demo need (about 2.6 GB on disk)" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt || {
    echo "setup: pip could not install everything; see above, and run make again when that is mended" >&2
    exit 1
}
echo "$wanted" >.venv/.ready
