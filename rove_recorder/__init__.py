"""Every attempt of the robot as one zarr episode: format, writer, reader, recovery and tools. No ROS outside ros/."""
