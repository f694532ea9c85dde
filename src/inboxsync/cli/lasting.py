"""What a process that stays has loaded once for all."""

import gc

# Batches and answers come and go in thousands of objects, and hardly one of them is in a circle.
_NEW_OBJECTS = 20_000


def freeze_loaded() -> None:
    """Take what is loaded out of the garbage collector's sight: modules, tables, routes, compiled queries.

    They stay, and to look through them takes an eighth of a second, every second or two while Pages sync;
    nothing else runs in that time. What comes later is looked through less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
