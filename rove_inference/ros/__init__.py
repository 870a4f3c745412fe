"""The nodes: the only place of this package where rclpy is imported."""
