"""The pure core: values and decisions. No boto3, pulumi, network, file or clock; ``now`` is always an argument."""
