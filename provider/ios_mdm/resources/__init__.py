"""Pulumi's hooks, thin: they translate between the engine and ``ios_mdm.app.pair.service``.

Module paths and class names here are a state format: ``tests/resources/test_certificate_pair.py`` keeps them.
"""
