"""The demo: the main job of the server on real input, told as it happens."""
