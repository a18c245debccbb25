"""The same policy on system calls that containers have, as a program for the kernel's own filter."""
