"""Use cases, and one caller for each domain."""
