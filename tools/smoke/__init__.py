"""Checks on a real AWS account, which no emulator can answer: `make smoke-aws`.

A run creates the roles of docs/permissions.md, assumes each, and prints what AWS did. One run at a time in an account:
a run first deletes whatever an earlier one left. It takes about ten minutes.

Everything has the tag ``ios-mdm-smoke=<run id>`` and a name that begins with ``ios-mdm-smoke-<run id>``. EventBridge
Scheduler has no tags for schedules, so these are found by their names alone.

Estimated cost: less than 0.10 USD.

- KMS key, 1 USD a month by the hour: 0.01 USD. A key that waits for its deletion costs nothing.
- Secret, 0.40 USD a month by the hour: 0.01 USD.
- About 200 requests to Secrets Manager (0.05 USD for 10,000) and 50 to KMS (0.03 USD for 10,000): 0.01 USD.
- IAM and STS: free. Three schedules, and the messages of SQS and SNS: less than 0.01 USD.

After a crash the key and the secret cost 1.40 USD a month until `make smoke-aws-clean`.
"""
