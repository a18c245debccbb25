"""Sandbox workers without Docker, labelled `reduced isolation`: bubblewrap's namespaces, seccomp, and limits."""
