"""The commands' options and help. Each imports its work when it runs, so that ``--help`` is quick."""
