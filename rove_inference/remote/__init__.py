"""Policies that run on another machine: our own server and client, and clients for openpi's and GR00T's servers.

The robot stays the robot's: pictures are prepared, joints ordered, answers checked and limits kept on this side, as
with a policy that runs here. The other side only ever turns one observation into one chunk.
"""
