"""Is an episode what its format promises, and fit to be exported?"""
