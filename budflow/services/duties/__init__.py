"""What the leader does for all: one duty a file, declared with `@leader_only`."""
