"""What is bundled with the report for its cells, so that it needs no network: as published, but for the link to a source map.

Tabulator 6.5.3 (https://tabulator.info, MIT, ``tabulator.LICENSE.txt``), from the package tabulator-tables of npm: tables of many
rows, of which only those in sight are drawn.
"""

from __future__ import annotations

VENDOR = "vendor"
# The sha256 of each file in it. A report's folder holds them all.
BUNDLED = {
    "tabulator.min.js": "d55b66c4343599507915c64a6a16255b02229ca1eef1efcae2278938194c209b",
    "tabulator.min.css": "344d2556416c32cb80b428135d1b048887d09437d346b4d59ca17dc9b9b5c645",
    "tabulator.LICENSE.txt": "191a2ee554684e1064c897b432f0e1bc6dfa714ca045d3f6ea2cf692cbd398b7",
}
