"""What the doors for people and systems without an account share: they speak ASGI themselves, without a framework."""
