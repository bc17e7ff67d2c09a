"""The commands of ``ios-mdm``. Each imports what it needs when it runs, so that ``--help`` is quick."""
