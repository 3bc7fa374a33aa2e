#!/usr/bin/env bash
# Fails, with a sentence for each file, when a notebook and the package are out of step, a notebook is not clean, a type
# does not fit, or ruff would write something otherwise.
# Works on a copy and changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PWD/.venv/bin:$PATH

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/posegen"
cp settings.ini "$copy/"
cp posegen/__init__.py "$copy/posegen/"
# A file that git would not take along is no part of the project, wherever there is git to ask.
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ]; then
    git ls-files -z --cached --others --exclude-standard -- nbs | xargs -0 cp --parents -t "$copy"
    untracked=$(git ls-files --others --exclude-standard -- nbs posegen)
else
    cp -r nbs "$copy/"
    untracked=''
fi

(cd "$copy" && nbdev_export && nbdev_clean) >"$copy/log" 2>&1 || {
    echo "nbdev could not export the notebooks:" >&2
    cat "$copy/log" >&2
    exit 1
}

problems=0
say() { printf -- '- %s\n' "$1" >&2; problems=1; }

for module in $(cd "$copy" && find posegen -name '*.py'); do
    if [ ! -e "$module" ]; then
        say "$module is missing although a notebook exports it; run nbdev_export and add the file"
    elif ! cmp -s "$module" "$copy/$module"; then
        say "$module is not what the notebooks export; run nbdev_export (never edit it by hand)"
    fi
done
for module in $(find posegen -name '*.py'); do
    [ -e "$copy/$module" ] || say "$module comes from no notebook; delete it, or add the notebook"
done
while IFS= read -r notebook; do
    cmp -s "$notebook" "$copy/$notebook" || say "$notebook is not clean; run nbdev_clean"
done < <(cd "$copy" && find nbs -name '*.ipynb')
while IFS= read -r file; do
    [ -z "$file" ] || say "$file is not in git; git add it"
done <<<"$untracked"

mypy --no-error-summary posegen >&2 || problems=1
ruff check --quiet --output-format concise . >&2 || problems=1
ruff format --quiet --check . || { ruff format --check . 2>/dev/null | grep '^Would' >&2; say 'run ruff format, then nbdev_export'; }

if [ "$problems" = 0 ]; then echo "Notebooks and package are in step, the notebooks are clean, the types fit, and ruff agrees."; else exit 1; fi
