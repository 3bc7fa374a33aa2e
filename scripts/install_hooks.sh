#!/usr/bin/env bash
# Installs git's hooks of this project, or brings them up to date: `make hooks`. A hook of your own is kept.
# The hooks keep notebooks and package in step; a driver resolves merge conflicts inside notebooks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf 'hooks: %s\n' "$*" >&2; exit 2; }

[ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ] || fail "$PWD is no clone of git, so there is nothing to install."
hooks=$(git rev-parse --git-path hooks)
mkdir -p "$hooks"
for name in pre-commit post-merge; do
    if [ -e "$hooks/$name" ] && ! grep -q '^# Installed by ' "$hooks/$name"; then
        fail "$hooks/$name is a hook of your own; move it away, or call scripts/hooks/$name from it."
    fi
    install -m 755 "scripts/hooks/$name" "$hooks/$name"
done
git config --local merge.nbdev-merge.name 'resolve conflicts in notebooks'
git config --local merge.nbdev-merge.driver '.venv/bin/nbdev_merge %O %A %B %P'
echo "Installed in $hooks: pre-commit, post-merge."
