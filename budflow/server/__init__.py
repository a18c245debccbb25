"""A server process: what it listens on, how it takes and gives up a data directory, how it starts and ends."""
