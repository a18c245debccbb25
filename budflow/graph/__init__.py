"""From a document to a plan: parse, validate, compile."""
