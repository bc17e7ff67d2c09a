"""The status of a server, as `ios-mdm status` shows it."""
