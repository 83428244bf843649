"""Wrong: repeats a failed request at once, again and again."""

import sys

import plain

for attempt in range(8):
    status, _, text = plain.openai()
    if status == 200:
        print(text)
        sys.exit(0)
sys.exit(1)
