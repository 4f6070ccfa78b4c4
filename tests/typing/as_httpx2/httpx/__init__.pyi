# httpx2 in the place of httpx: so what is annotated with the classes of the one is checked with those of the other.
from httpx2 import *  # noqa: F403 - all of it, whatever a later version adds
