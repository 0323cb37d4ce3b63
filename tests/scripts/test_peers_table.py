"""The table of models of others, and that it is up to date."""

import json

from peers import PEERS
from peers_table import DOCS, MARK, make_table

ROW = {"package": "theirs", "version": "1.2", "network": "U-Net", "skips": []}


def test_the_table_is_that_of_the_findings():
    found = json.loads((DOCS / "peers_table.json").read_text("utf-8"))
    rows = found["rows"]
    assert list(rows) == [peer.key for peer in PEERS if peer.key in rows]
    assert {peer.package for peer in PEERS} == {
        row["package"] for row in rows.values()
    }
    text = (DOCS / "peers_table.md").read_text("utf-8")
    assert text == make_table(rows.values())
    for row in rows.values():
        assert row.get("difference", 0) <= 1e-6
        assert not row.get("shared")


def test_what_works_and_what_does_not():
    good = ROW | dict.fromkeys(("trained", "saved", "exported"), "yes")
    rows = [
        good | {"skips": [["a", [8, 8, 4]]] * 3, "difference": 2.4e-7},
        ROW | {"refused": "Found: none. Name them with `skips=[…]`, by layer"},
        ROW | {"network": "V|Net", "not_built": "KeyError: 'filters'"},
    ]
    works, fails = make_table(rows).split(MARK)
    assert works.splitlines()[2:-1] == [
        "| theirs 1.2 | U-Net | 3 | 2e-07 | yes | yes | yes |",
    ]
    assert fails.splitlines()[4:] == [
        "| theirs 1.2 | U-Net | Found: none. |",
        "| theirs 1.2 | V\\|Net | not built: KeyError: 'filters' |",
    ]
