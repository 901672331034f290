#!/usr/bin/env bash
# Makes .venv in the checkout with the versions of requirements/pinned.txt. Called by `make venv`.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$("$python" --version 2>&1) || found="no such program"
    echo "Python 3.11 or later is needed, but '$python' is: $found." >&2
    echo "Name another one: make venv PYTHON=/path/to/python3.12" >&2
    exit 1
fi
# mkdir is atomic: two `make` at the same time must not install into one folder.
if ! mkdir .venv.lock 2>/dev/null; then
    echo "Another installation into .venv is under way, or one was killed." >&2
    echo "If none is running, remove the folder .venv.lock and try again." >&2
    exit 1
fi
trap 'rmdir .venv.lock' EXIT
trap 'exit 130' INT TERM

if [ -f .venv/complete ]; then
    rm .venv/complete # the pins changed: bring the packages up to date in place
else
    echo "Making .venv (a few minutes; torch is large) ..."
    if ! "$python" -m venv --clear .venv; then
        echo "'$python -m venv' failed. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi
# torch first and alone: a build for this machine that pip was told of elsewhere is then kept.
.venv/bin/python -m pip install --quiet "$(grep '^torch==' requirements/pinned.txt)"
.venv/bin/python -m pip install --quiet -r requirements/pinned.txt
# The commands flare-segment and flare-train in .venv/bin, running this checkout.
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
cp requirements/pinned.txt .venv/complete
echo "Done: .venv"
