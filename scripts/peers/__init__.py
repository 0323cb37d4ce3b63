"""Models that others wrote, and what becomes of them with DCA.

`scripts/peers_table.py` is the command for it, and the tests import what they
need. Like all of `scripts/`, this package is run from a clone and not
installed.
"""

from peers.examine import examine, first_line
from peers.models import PEERS, Peer

__all__ = ["PEERS", "Peer", "examine", "first_line"]
