"""Schedulers: a port with stated assumptions, and one package a scheduler."""
