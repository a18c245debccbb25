"""The commands: a module each, whose docstring is its line in `budflow --help` and whose `app` is what runs."""
