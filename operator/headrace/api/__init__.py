"""The vocabulary: the four kinds, what goes to pods and what comes from them, and the schemas made from both.

Nothing here does I/O, and nothing here decides.
"""
