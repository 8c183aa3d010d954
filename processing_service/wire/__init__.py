"""What every call shares, on either side."""
