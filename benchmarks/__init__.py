"""What the lessons' programs reach, over seeds that nothing was tuned on."""
