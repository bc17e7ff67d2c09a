"""The commands of ``python -m provider``. Each imports what it needs when it runs, so that ``--help`` is quick."""
