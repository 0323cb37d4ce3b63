#!/usr/bin/env bash
# Installs the wheel and the source distribution, with each Python that is
# found, in a new virtual environment, and uses them.
#
# Usage: scripts/smoke.sh [PYTHON...]     python3.11 to python3.13 by default
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_QUIET=1

use() { # what is installed now, from an empty folder
    mkdir -p "$work/empty"
    cd "$work/empty"
    dca-keras --version
    dca-keras doctor > doctor.txt || { cat doctor.txt; exit 1; }
    tail -n 1 doctor.txt
    TF_CPP_MIN_LOG_LEVEL=3 python - <<'PYTHON'
from importlib import resources

from dca_keras.recipe import make_recipe
from dca_keras.zoo import create_model, list_weights

make_recipe()  # reads recipes.toml
for name in list_weights():
    print("weights:", name)
files = resources.files("dca_keras")
assert (files / "py.typed").is_file()
assert (files / "evaluation" / "report.html.jinja").is_file()
create_model("unet", filters=(4, 8, 8), input_shape=(16, 16, 3))
PYTHON
}

git ls-files -z | xargs -0 cp --parents -t "$work" # nothing that git ignores
missing=()
for name in "${@:-python3.11 python3.12 python3.13}"; do
    for python in $name; do
        if ! "$python" --version > /dev/null 2>&1; then
            missing+=("$python")
            continue
        fi
        echo "== $("$python" --version): the wheel"
        "$python" -m venv "$work/venv"
        (
            . "$work/venv/bin/activate"
            pip install build
            python -m build --outdir "$work/dist" "$work" > "$work/log" ||
                { cat "$work/log"; exit 1; }
            pip install "$work"/dist/*.whl
            use
            echo "== $("$python" --version): the source distribution"
            pip uninstall --yes dca-keras
            pip install "$work"/dist/*.tar.gz
            use
        )
        rm -rf "$work/venv" "$work/dist" "$work/empty"
    done
done
if ((${#missing[@]})); then echo "not found: ${missing[*]}"; fi
