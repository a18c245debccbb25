"""The HTTP door: one route a file in `routes/`, each translating to one use case and back."""
