"""The command line: one file a command in `commands`, found by name and imported when called."""
