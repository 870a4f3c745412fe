"""Sending episodes to a folder, an ssh account or an S3 bucket: checked, verified on both ends, and never twice."""
