"""Pulumi resources and their hooks, which translate between the engine and the use cases of ``ios_mdm.app``.

Pulumi's state contains the module paths and class names, so they must not change
(``tests/resources/test_certificate_pair.py``).
"""
