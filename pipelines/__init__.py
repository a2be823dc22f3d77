"""The commands of the console script ``recsys``. Nothing here is imported by the library or by a user's code."""
