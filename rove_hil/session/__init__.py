"""What runs in a session, and how its processes are kept."""
