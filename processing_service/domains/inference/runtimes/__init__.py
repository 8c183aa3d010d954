"""The libraries that run models, behind one Protocol."""
