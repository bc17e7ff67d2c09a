"""Pulumi's hooks, thin: they translate between the engine and ``ios_mdm.service``.

Module paths and class names here are a state format: ``tests/resources/test_frozen.py`` keeps them.
"""
