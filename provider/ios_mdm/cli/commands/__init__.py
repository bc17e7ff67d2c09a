"""Options and help of the commands. A command imports its implementation when it runs, so that ``--help`` is fast."""
