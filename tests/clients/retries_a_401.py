"""Wrong: tries a refused key five times."""

import sys
import time

import plain

for attempt in range(5):
    status, _, _ = plain.openai()
    if status == 200:
        sys.exit(0)
    time.sleep(0.05 * 2**attempt)
sys.exit(1)
