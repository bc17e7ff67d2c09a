#!/usr/bin/env bash
# Writes each problem to alarm.txt (and to the output `reason` on GitHub). Writes nothing to AWS.
# Exit code: 0 no problem, 1 at least one problem.
set -uo pipefail
: >alarm.txt

report() {
    echo "alarm: $1" >&2
    echo "$1" >>alarm.txt
}

code=0
pulumi preview --expect-no-changes --suppress-outputs --non-interactive --color never || code=$?
case $code in
    0) ;;
    7) report "changes are pending, or a resource was changed outside of pulumi: the next \`pulumi up\` applies them" ;;
    *) report "\`pulumi preview\` failed with exit code $code: it is unknown whether changes are pending" ;;
esac

code=0
.venv/bin/ios-mdm status || code=$?
case $code in
    0) ;;
    1) report "status: warning" ;;
    2) report "status: CRITICAL, devices lose their connection without action" ;;
    *) report "status: unknown, the pairs could not be read" ;;
esac

if [ -s alarm.txt ]; then
    [ -z "${GITHUB_OUTPUT:-}" ] || echo "reason=$(paste -sd ';' alarm.txt)" >>"$GITHUB_OUTPUT"
    exit 1
fi
