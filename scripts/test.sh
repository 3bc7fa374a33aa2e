#!/usr/bin/env bash
# Every notebook, then the whole program, and which branches of the package they take together: `make test`.
# Two notebooks, then two files of tests at a time, with one thread each. Words go to pytest: make test ARGS="-k cli".
# pytest comes last: its closing line is the result. Exit status 1: a test failed, or too little of the method is tested.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PWD/.venv/bin:$PATH
export OMP_NUM_THREADS=1 COVERAGE_FILE=$PWD/build/coverage/data
method='posegen/core.py,posegen/pose.py,posegen/data/*,posegen/networks.py,posegen/losses.py,posegen/adversaries.py'
method+=',posegen/training/*'
least=85                               # percent of the method's branches

rm -rf build/coverage
mkdir -p build/coverage
coverage run --parallel-mode --concurrency=multiprocessing scripts/test_notebooks.py --n_workers 2
coverage combine --quiet
python -m pytest -n 2 --dist loadfile --cov=posegen --cov-append --cov-report=term "$@"
[ $# != 0 ] || coverage report --include="$method" --fail-under=$least >build/coverage/method.txt || {
    cat build/coverage/method.txt >&2
    echo "Less than $least% of the method's lines and branches are tested." >&2
    exit 1
}
