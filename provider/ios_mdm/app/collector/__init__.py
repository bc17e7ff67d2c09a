"""Recording what an MDM server reports of its devices."""
