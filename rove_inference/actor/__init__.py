"""The ROVE actor: a frozen vision-language model reads pictures and text, a diffusion transformer makes the chunk.

After ROVE (arXiv 2606.17011, implementation details): Qwen3-VL-4B-Instruct, its final-layer features (2560 numbers per
token), and a flow-matching DiT head over 50 steps of 50 joints. What the paper leaves open (size of the head, how it
looks at the features) is as in GR00T N1 (arXiv 2503.14734): joint positions and steps are tokens that attend to one
another and, in every block, to the features.

Importing this package imports neither torch nor transformers; its modules do.
"""
