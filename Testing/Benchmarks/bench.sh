#!/usr/bin/env bash
# Measures and writes RESULTS.md. Called by `make bench`; BENCH_ARGS go to run.py (see --help).
# The benchmark has its own environment, because nnunetv2 brings half a hundred packages along.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
pins=Testing/Benchmarks/requirements.txt
if ! cmp -s "$pins" .venv-bench/complete; then
    echo "Making .venv-bench (several minutes) ..."
    "$python" -m venv --clear .venv-bench
    # torch first and alone: a build for this machine that pip was told of elsewhere is then kept.
    .venv-bench/bin/python -m pip install --quiet "$(grep '^torch==' "$pins")"
    .venv-bench/bin/python -m pip install --quiet -r "$pins"
    # Its wheel is made for torch with CUDA and stops `import timm` beside a CPU build of torch;
    # nnU-Net's predictor uses neither.
    if ! .venv-bench/bin/python -c 'import torchvision' 2>/dev/null; then
        .venv-bench/bin/python -m pip uninstall --quiet --yes torchvision
    fi
    cp "$pins" .venv-bench/complete
fi
export PYTHONPATH="$PWD/FlareSegment:$PWD/FlareTrain" PYTHONUTF8=1
if [ "${1:-}" = "--only-environment" ]; then
    exit 0
fi
exec .venv-bench/bin/python Testing/Benchmarks/run.py "$@"
