"""Monitoring: health, metrics, home with its charts, the errors page, the proxy to Flower."""
