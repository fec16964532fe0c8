"""What watches the engine: health, metrics, the dashboard with its charts, Flower's door."""
