"""Wrong: comes back after a tenth of a second, whatever the server asks."""

import time

import plain

for attempt in range(5):
    status, _, text = plain.openai()
    if status == 200:
        print(text)
        break
    time.sleep(0.1 * (attempt + 1))
