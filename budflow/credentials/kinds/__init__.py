"""The kinds of credentials, one file each; budflow.credentials.find_kinds finds them."""
