"""One aggregate each: its rules and its transaction."""
