"""Certificates: reads them, issues them, and builds chains."""
