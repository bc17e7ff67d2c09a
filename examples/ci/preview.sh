#!/usr/bin/env bash
# Previews the change, and writes the preview to preview.md for the reviewer. Writes nothing to AWS.
# Exit code: that of `pulumi preview`.
set -euo pipefail
code=0
pulumi preview --diff --suppress-outputs --non-interactive --color never >preview.txt 2>&1 || code=$?
cat preview.txt
{
    if [ "$code" = 0 ]; then echo "### Preview of \`${PULUMI_STACK:-the stack}\`"; else echo "### The preview failed"; fi
    printf '\nPreviewed %s. Pending changes depend on the time: the next `pulumi up` computes them again.\n\n' "$(date -u '+%Y-%m-%d %H:%M UTC')"
    # A comment has at most 65,536 characters. The end is kept, because it has the errors and the summary.
    printf '~~~~~~diff\n%s\n~~~~~~\n' "$(tail -c 60000 preview.txt)"
} >preview.md
exit "$code"
