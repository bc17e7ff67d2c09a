#!/usr/bin/env bash
# Sends an alarm to ALARM_URL, an incoming webhook that accepts {"text": "…"} (Slack, Mattermost, and others).
# Usage: alarm.sh [REASON]. Default: the lines of alarm.txt, or a message that a job failed.
set -euo pipefail
reason=${1:-}
if [ -z "$reason" ] && [ -s alarm.txt ]; then reason=$(paste -sd ';' alarm.txt); fi
reason=${reason:-a job failed, see its log}
if [ -n "${GITHUB_RUN_ID:-}" ]; then
    where="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"
else
    where=${CI_PIPELINE_URL:-an unknown pipeline}
fi
text="ios-mdm ${PULUMI_STACK:-}: $reason ($where)"
echo "$text"
: "${ALARM_URL:?is not set, so this alarm cannot be sent: add it to the secrets of the pipeline}"
text=${text//\\/\\\\}
text=${text//\"/\\\"}
# The URL is a secret. It is passed on stdin, because other processes can read the command line.
curl --fail --silent --show-error --output /dev/null --max-time 30 --retry 3 \
    --header 'Content-Type: application/json' --data-binary "{\"text\": \"$text\"}" --config - <<EOF
url = "$ALARM_URL"
EOF
