"""What a run tells: columns while it goes on, then tables, curves and pages, alike for both worlds."""
