"""The local classifier: a linear model over hashed pieces of hosts, names and titles.

`features` needs only the standard library, `linear` also numpy, and `training` scikit-learn (the extra `model`).
"""
