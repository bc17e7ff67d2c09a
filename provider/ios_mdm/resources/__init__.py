"""Pulumi's resources and their hooks, thin: they translate between the engine and the use cases of ``ios_mdm.app``.

Module paths and class names here are a state format: ``tests/resources/test_certificate_pair.py`` keeps them.
"""
