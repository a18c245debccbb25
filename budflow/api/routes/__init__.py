"""The routes of the API: one a file, named like its operation; budflow.api.route finds them."""
