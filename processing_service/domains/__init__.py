"""Services that do the work; each can run alone or be replaced."""
