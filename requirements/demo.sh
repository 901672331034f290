#!/usr/bin/env bash
# Segments INPUT, or a phantom made here, into OUTPUT. Called by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
output=${OUTPUT:-demo}
if [ -z "${INPUT:-}" ]; then
    # Named after its seed, so that another seed is another case.
    scan="$output/phantom_${SEED:-1}.nii.gz"
    if [ ! -f "$scan" ]; then
        "$python" -m FlareSegmentLib phantom "$scan" --seed "${SEED:-1}"
    fi
    INPUT=$scan
fi
"$python" -m FlareSegmentLib segment "$INPUT" -o "$output" --json --preview
