"""The calls of a world at a rate, each sent once: whatever fails has failed."""

import os
import threading
import time

import plain


def call(number):
    headers = {
        "authorization": "Bearer " + os.environ["OPENAI_API_KEY"],
        "x-brownout-call": str(number),
    }
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"What is {number} and {number}?"}],
    }
    plain.post(os.environ["OPENAI_BASE_URL"], "/chat/completions", body, headers)


rate, seconds = float(os.environ["BROWNOUT_RATE"]), float(os.environ["BROWNOUT_SECONDS"])
begun = time.monotonic()
calls = []
for number in range(round(rate * seconds)):
    time.sleep(max(0.0, begun + number / rate - time.monotonic()))
    calls.append(threading.Thread(target=call, args=[number]))
    calls[-1].start()
for thread in calls:
    thread.join()
