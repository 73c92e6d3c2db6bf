"""Collections of garbage, which each training asks for, pass over what stays until the end of the tests."""

import gc


def all_here_stays() -> None:
    """Take what is there now for no garbage: modules, which are hundreds of thousands of objects, and made fixtures."""
    gc.collect()
    gc.freeze()
