"""Page of `readiness --html` and `status --html`."""
