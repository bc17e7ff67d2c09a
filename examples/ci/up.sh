#!/usr/bin/env bash
# Applies all pending changes. Safe to run again, also after an interrupted run.
set -euo pipefail
exec pulumi up --yes --skip-preview --suppress-outputs --non-interactive --color never
