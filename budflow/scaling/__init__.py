"""What several processes of one installation agree on: who leads, and that something changed."""
