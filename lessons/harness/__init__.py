"""The machine behind the programs: settings, runs, evaluation, sessions, the command line and the report."""
