"""The calls of a world at a rate, each sent once: whatever fails has failed."""

import json
import os
import threading
import time
import urllib.error
import urllib.request


def call(number: int) -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"What is {number} and {number}?"}],
    }
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        data=json.dumps(body).encode(),
        headers={
            "content-type": "application/json",
            "authorization": "Bearer " + os.environ["OPENAI_API_KEY"],
            "x-brownout-call": str(number),
        },
    )
    try:
        with urllib.request.urlopen(request) as answer:
            answer.read()
    except urllib.error.HTTPError:
        pass


rate, seconds = float(os.environ["BROWNOUT_RATE"]), float(os.environ["BROWNOUT_SECONDS"])
begun = time.monotonic()
calls = []
for number in range(round(rate * seconds)):
    time.sleep(max(0.0, begun + number / rate - time.monotonic()))
    calls.append(threading.Thread(target=call, args=[number]))
    calls[-1].start()
for thread in calls:
    thread.join()
