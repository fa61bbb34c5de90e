"""The commands that people type, a file a group of the help. What a command does is imported inside its function.

So a command loads no more than it needs, and the help neither torch nor pandas.
"""

from __future__ import annotations

from primum.commands import change, data, export, fetch, look, trace

# In the order of the help, and so are the commands of each.
GROUPS = {
    "Look": look.COMMANDS,
    "Trace": trace.COMMANDS,
    "Fetch": fetch.COMMANDS,
    "Change": change.COMMANDS,
    "Export": export.COMMANDS,
    "Data": data.COMMANDS,
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)
