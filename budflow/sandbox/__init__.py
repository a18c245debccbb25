"""Where an author's code runs: sandboxd, its broker and runners, and the worker inside of a container."""
