#!/usr/bin/env bash
# Previews what the change would do, and writes it to preview.md for whoever reviews it. Writes nothing else.
# Exit code: pulumi's.
set -euo pipefail
code=0
pulumi preview --diff --suppress-outputs --non-interactive --color never >preview.txt 2>&1 || code=$?
cat preview.txt
{
    if [ "$code" = 0 ]; then echo "### Preview of \`${PULUMI_STACK:-the stack}\`"; else echo "### The preview failed"; fi
    printf '\nPreviewed %s. What is due changes with time: the next `up` decides anew.\n\n' "$(date -u '+%Y-%m-%d %H:%M UTC')"
    # A comment holds 65,536 characters. The end is what counts: errors, and how much there is to do.
    printf '~~~~~~diff\n%s\n~~~~~~\n' "$(tail -c 60000 preview.txt)"
} >preview.md
exit "$code"
