"""How the interpreter is set for a process that syncs: many threads, and thousands of objects a second.

Settings of a whole process are the program's to make, not the library's. The benches make the same.
"""

import gc
import sys

# Batches and answers come and go in thousands of objects, and hardly one of them is in a circle.
_NEW_OBJECTS = 20_000
# A thread that comes back from the database waits so long for one that computes; Python's own is 5 ms, and a
# batch comes back dozens of times.
_SWITCH_SECONDS = 0.001


def set_for_syncing(*, stays: bool = False) -> None:
    """Call it once everything is loaded; where the process `stays`, it is worth to clean up before.

    What is loaded (modules, tables, routes, compiled queries) is taken out of the garbage collector's
    sight: to look through it takes an eighth of a second, every second or two, and nothing else runs in
    that time. What comes later is looked through less often.
    """
    if stays:
        gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    sys.setswitchinterval(_SWITCH_SECONDS)
