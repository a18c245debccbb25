"""Workers in hardened containers of Docker: the runner, the images that it builds, and the profile of system calls."""
