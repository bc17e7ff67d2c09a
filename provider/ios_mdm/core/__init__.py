"""Pure values and decisions, without boto3, pulumi, network, files or clock; ``now`` is always an argument."""
