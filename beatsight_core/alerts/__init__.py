"""Alerts: what happened while nobody looked, kept until each receiver was told."""
