#!/usr/bin/env bash
# Sends an alarm to ALARM_URL, an incoming webhook that takes {"text": "…"} (Slack, Mattermost, and many more).
# Usage: alarm.sh [REASON]; without one: what alarm.txt says, or that a job failed.
set -euo pipefail
reason=${1:-}
if [ -z "$reason" ] && [ -s alarm.txt ]; then reason=$(paste -sd ';' alarm.txt); fi
reason=${reason:-a job failed, look at its log}
if [ -n "${GITHUB_RUN_ID:-}" ]; then
    where="$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"
else
    where=${CI_PIPELINE_URL:-an unknown pipeline}
fi
text="ios-mdm ${PULUMI_STACK:-}: $reason ($where)"
echo "$text"
: "${ALARM_URL:?is not set, so nobody hears this alarm: make it a secret of the pipeline}"
text=${text//\\/\\\\}
text=${text//\"/\\\"}
# Whoever knows the URL can post to it: so it goes in on stdin, and not on the command line, which others can see.
curl --fail --silent --show-error --output /dev/null --max-time 30 --retry 3 \
    --header 'Content-Type: application/json' --data-binary "{\"text\": \"$text\"}" --config - <<EOF
url = "$ALARM_URL"
EOF
