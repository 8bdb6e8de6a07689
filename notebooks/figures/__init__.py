"""What the notebooks show: excerpts, tables and figures. Nothing else uses it."""
