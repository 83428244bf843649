"""Right, with nothing but the standard library: waits as asked, gives up on what is final."""

import sys
import time

import plain

for attempt in range(6):
    status, headers, text = plain.openai()
    if status == 200:
        print(text)
        sys.exit(0)
    if status in (400, 401, 403, 404):
        sys.exit(1)
    time.sleep(float(headers.get("retry-after", 0.2 * 2**attempt)))
sys.exit(1)
