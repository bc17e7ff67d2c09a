"""Tests with damaged bundles, and functions that create bundles for these and other tests."""
