"""What leaves for the outside on a workflow's behalf: one guarded HTTP client."""
