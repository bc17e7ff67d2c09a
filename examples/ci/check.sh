#!/usr/bin/env bash
# Says what is not as it should be, and why, in alarm.txt (and as the output `reason` on GitHub). Writes nothing to AWS.
# Exit code: 0 all is well, 1 there is something to tell.
set -uo pipefail
: >alarm.txt

tell() {
    echo "alarm: $1" >&2
    echo "$1" >>alarm.txt
}

code=0
pulumi preview --expect-no-changes --suppress-outputs --non-interactive --color never || code=$?
case $code in
    0) ;;
    7) tell "something is due, or was changed from outside: the next \`pulumi up\` sees to it" ;;
    *) tell "\`pulumi preview\` failed with exit code $code: whether something is due is not known" ;;
esac

code=0
.venv/bin/ios-mdm status || code=$?
case $code in
    0) ;;
    1) tell "status: warning" ;;
    2) tell "status: CRITICAL, devices lose their connection if nothing is done" ;;
    *) tell "status: unknown, the pairs could not be looked at" ;;
esac

if [ -s alarm.txt ]; then
    [ -z "${GITHUB_OUTPUT:-}" ] || echo "reason=$(paste -sd ';' alarm.txt)" >>"$GITHUB_OUTPUT"
    exit 1
fi
