"""Records the events that an MDM server reports about its devices."""
