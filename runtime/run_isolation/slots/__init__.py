"""Slots: how many runs may go without a task of their own, which ones do, and why others don't.

``decision`` says which kind a run becomes, ``settings`` what the deployment allows, ``slots`` gives
and takes slots as entries of one ``item``, and ``reconciler`` removes those that nobody else will.
"""
