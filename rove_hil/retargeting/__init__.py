"""What `rove_hil.retarget` is made of: kinematics, tasks, hands."""
