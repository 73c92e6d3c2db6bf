"""Versions of the model: what each folder holds, which one is the champion."""
