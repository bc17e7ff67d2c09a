#!/usr/bin/env bash
# Creates the virtualenv that Pulumi.yaml names, with exactly the packages of requirements.txt.
set -euo pipefail
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
pulumi version
