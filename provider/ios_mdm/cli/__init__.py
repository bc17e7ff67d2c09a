"""The commands of ``ios-mdm``. A command imports its modules when it runs, so that ``--help`` is fast."""
