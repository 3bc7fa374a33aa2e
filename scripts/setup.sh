#!/usr/bin/env bash
# Makes .venv in the repository's root and installs everything into it. Does nothing when nothing has changed.
# PYTHON=… chooses the interpreter. Exit 0: ready. Exit 2: something that the message says how to mend.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/posegen-ready            # what was installed, and where; written last
unfinished=$venv/posegen-unfinished  # there from the first moment until the stamp is written
log=${TMPDIR:-/tmp}/posegen-setup-$(id -u).log

fail() { printf 'posegen set-up: %s\n' "$*" >&2; exit 2; }

# Two lines that an environment is tied to for life, its place and the interpreter that was asked for; then what pip
# can bring up to date inside it.
wanted_stamp() {
    printf '%s\n%s\n' "$PWD" "$PYTHON"
    cat requirements.txt constraints.txt setup.py settings.ini pyproject.toml | sha256sum
}

works() { [ ! -e "$unfinished" ] && [ -x "$venv/bin/python" ]; }

is_ready() { works && [ "$(cat "$stamp" 2>/dev/null)" = "$1" ]; }

# A pyenv shim or a broken installation is on the PATH without running: so run each candidate before trusting it.
find_python() {
    local candidate found='' old=''
    for candidate in ${PYTHON:-python3 python3.12 python3.11}; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        case $version in
        3.11 | 3.12)
            if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
                python=$candidate
                return
            fi
            found="$candidate is Python $version" ;;
        *) old="$candidate is Python $version" ;;
        esac
    done
    [ -z "$found" ] || fail "$found but cannot make environments; on Debian, install the package python3-venv."
    [ -z "$old" ] || fail "posegen needs Python 3.11 or 3.12, but $old; install one of the two, or name it: make PYTHON=/path/to/python3.12"
    fail "no Python found (looked for: ${PYTHON:-python3 python3.12 python3.11}); install Python 3.11 or 3.12, or name it: make PYTHON=/path/to/python3.12"
}

explain_failed_install() {
    local reason
    if tail -n 40 "$log" | grep -qi 'no space left on device'; then
        fail "the disk is full (the packages take about 2 GB, several more with a CUDA build of torch); the whole log is $log"
    fi
    if tail -n 40 "$log" | grep -qiE "$network_trouble"; then
        fail "the packages could not be downloaded; check the network and run the same command again (the whole log is $log)"
    fi
    reason=$(grep -i 'error' "$log" | tail -n 1 || true)
    fail "an installation step failed (${reason:-no error line found}); the whole log is $log"
}

network_trouble='NewConnectionError|NameResolutionError|name resolution|Failed to establish|Connect ?Timeout|ReadTimeout'
network_trouble+='|read timed out|Network is unreachable|Connection (refused|reset|aborted)|ProxyError|SSLError'

pip_install() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input install "$@" >>"$log" 2>&1 || explain_failed_install
}

make_environment() {
    find_python
    rm -rf "$venv"
    mkdir "$venv" 2>/dev/null || fail "$PWD/$venv cannot be made; is this folder read-only?"
    touch "$unfinished"
    echo "Making $venv with $("$python" -V) and installing the packages (a few minutes, about 2 GB; log: $log)"
    "$python" -m venv "$venv" >>"$log" 2>&1 || explain_failed_install
}

# An interpreter that was chosen once stays chosen.
PYTHON=${PYTHON:-$(sed -n 2p "$stamp" 2>/dev/null || true)}
stamp_now=$(wanted_stamp)
is_ready "$stamp_now" && exit 0

# One set-up at a time: a second one waits here and then finds everything done.
exec 9<requirements.txt
if command -v flock >/dev/null; then flock 9; fi
is_ready "$stamp_now" && exit 0

if [ -e "$venv" ] && [ ! -e "$stamp" ] && [ ! -e "$unfinished" ]; then
    fail "$PWD/$venv exists but was not made by this set-up; move it away and run the same command again."
fi
: 2>/dev/null >"$log" || fail "the log $log cannot be written; set TMPDIR to a folder where it can."
if works && [ "$(head -n 2 "$stamp")" = "$(head -n 2 <<<"$stamp_now")" ]; then
    touch "$unfinished"
    echo "Bringing $venv up to date (log: $log)"
else
    make_environment
fi
pip_install -r requirements.txt -c constraints.txt
pip_install --no-deps --no-build-isolation --use-pep517 --editable .
printf '%s\n' "$stamp_now" >"$stamp.new"
mv "$stamp.new" "$stamp"
rm "$unfinished"
echo "Installed: $PWD/$venv"
