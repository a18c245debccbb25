"""The subjects of the generated docs: each module with a function `pages()` is one, found by docs/generate.py."""
