"""The model repository."""
