"""A ledger in a DynamoDB table, which several pipelines, collectors and computers share."""
