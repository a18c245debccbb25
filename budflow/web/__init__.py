"""Pages for people that are no part of the API: so far the one where somebody enters a credential."""
