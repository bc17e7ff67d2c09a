"""Checks that need a real AWS account instead of an emulator: `make smoke-aws`.

A run creates the roles of docs/permissions.md, assumes each role, and prints the results. Only one run may use an
account at a time, because a run first deletes all resources of earlier runs. A run takes about ten minutes.

All resources have the tag ``ios-mdm-smoke=<run id>`` and a name that starts with ``ios-mdm-smoke-<run id>``. Schedules
of EventBridge Scheduler have no tags and are found by their names alone.

Estimated cost: less than 0.10 USD.

- KMS key, 1 USD a month by the hour: 0.01 USD. A key that is scheduled for deletion costs nothing.
- Secret, 0.40 USD a month by the hour: 0.01 USD.
- About 200 requests to Secrets Manager (0.05 USD for 10,000) and 50 to KMS (0.03 USD for 10,000): 0.01 USD.
- IAM and STS: free. Three schedules, and the messages of SQS and SNS: less than 0.01 USD.

After a crash, the key and the secret cost 1.40 USD a month until `make smoke-aws-clean` deletes them.
"""
