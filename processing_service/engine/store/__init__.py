"""Where sessions, workflows and artifacts are kept."""
