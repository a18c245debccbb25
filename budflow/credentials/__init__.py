"""Credentials: their kinds, how they are sealed at rest, and who opens them for a node."""
