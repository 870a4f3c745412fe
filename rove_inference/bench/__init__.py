"""What `rove bench` measures of policy serving."""
