#!/usr/bin/env bash
# Brings all pairs to what they should be by now. Safe to run again, and after a run that died.
set -euo pipefail
exec pulumi up --yes --skip-preview --suppress-outputs --non-interactive --color never
