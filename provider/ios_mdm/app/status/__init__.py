"""What `status` reports about a server."""
