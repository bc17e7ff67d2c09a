"""Options and help of ``ledger``."""

from __future__ import annotations

import click

__all__ = ["ledger"]


@click.group(short_help="Create the table of a ledger in DynamoDB.")
def ledger() -> None:
    """Create the DynamoDB table of a ledger, which several pipelines and collectors share."""


@ledger.command(short_help="Create the table, or complete it.")
@click.option("--ledger", "url", required=True, metavar="URL", help="URL of the ledger: dynamodb://table.")
@click.option("--region", metavar="REGION", help="AWS region. Default: from the environment.")
def create(url: str, region: str | None) -> None:
    """Create the DynamoDB table of a ledger, and wait until it can be used.

    The table has the properties of the CloudFormation template in docs/shared-ledger.md: deletion protection,
    point-in-time recovery, encryption with a key in KMS, and payment per request. If the table exists, time to live and
    point-in-time recovery are turned on, and other differences are shown.

    Exit codes: 0 the table is complete, 1 an existing table differs, 2 AWS refuses or wrong usage.
    """
    from ios_mdm.cli import ledger as work

    work.create(url=url, region=region)
