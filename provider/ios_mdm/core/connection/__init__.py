"""The TLS connection that a server offers to devices, and the requirements of Apple's systems for it (R48)."""
