"""The web server of `beatsight dev`: Dagster's own, behind a guard against other web pages. See docs/security.md."""
