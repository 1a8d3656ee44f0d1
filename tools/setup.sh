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

if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian splits venv off its python3 package.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv
    else
        echo "setup: the venv module is missing; run: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt
touch .venv/.ready
