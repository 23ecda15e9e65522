"""What tools and resources return, as models and as text."""
