"""The local statistical classifier: a linear model over hashed pieces of hosts, names and titles.

`features` needs the standard library, `linear` numpy beside it, `training` scikit-learn (the extra `model`).
"""
