"""Mirrors of repositories and the work trees that are made from them."""
